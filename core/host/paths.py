"""Where everything lies under CLOISTER_HOME, and where the sockets are."""

from core.settings.places import SOCKET_ADDRESS_BYTES, HomeLayout, PlaceRefused, home_layout, socket_directory

__all__ = ["SOCKET_ADDRESS_BYTES", "HomeLayout", "PlaceRefused", "home_layout", "socket_directory"]
