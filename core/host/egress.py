"""The egress guard: no Python code of this process reaches beyond loopback, unix sockets and listed addresses.

An audit hook sees what Python itself opens and looks up. Python resolves a name given to connect, bind, sendto or
sendmsg before it raises the audit event, so these methods of ``socket.socket`` check the name first. Native code that
opens sockets of its own is not covered; the sandbox's network namespace is for that.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import logging
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from core.settings.env import env

_log = logging.getLogger("cloister.egress")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

STACK_DEPTH: Final = 40
"""Frames of the caller that the log shows."""

_METHODS_WITH_ADDRESS: Final = {"connect": 0, "connect_ex": 0, "bind": 0, "sendto": -1, "sendmsg": 3}
"""Methods of a socket that take an address, and where among the arguments."""

_KERNEL_FAMILIES: Final = {socket.AF_UNIX, socket.AF_NETLINK, socket.AF_ALG}
"""Families that end in this machine's own kernel."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What an administrator lets through besides loopback."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset({"localhost"})

    def permits(self, host: str) -> bool:
        """Say whether a host, given as an address or a name, may be looked up and reached."""
        address = _address(host)
        if address is None:
            return host.lower().rstrip(".") in self.names
        if address.is_loopback or address.is_unspecified:
            return True
        return any(address.version == network.version and address in network for network in self.networks)


def allowed_parse(text: str) -> Allowed:
    """Read comma-separated addresses, networks and host names.

    Raises:
        ValueError: An entry looks like a network and is none.
    """
    networks: list[Network] = []
    names = {"localhost"}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if "/" in entry or ":" in entry or _address(entry) is not None:
            networks.append(ipaddress.ip_network(entry))
        else:
            names.add(entry.lower().rstrip("."))
    return Allowed(networks=tuple(networks), names=frozenset(names))


def installed() -> bool:
    """Say whether this process is guarded, or exempt."""
    return _Guard.installed


def install() -> None:
    """Guard this process for the rest of its life; the second call does nothing."""
    if _Guard.installed:
        return
    settings = env()
    if settings.egress_exempt:
        _Guard.installed = True
        _log.warning("the egress guard is off in this process: %s", settings.egress_exempt)
        return
    guard = _Guard(allowed_parse(f"{settings.allowed_addresses},{settings.host}"))
    sys.addaudithook(guard.hook)
    for method, position in _METHODS_WITH_ADDRESS.items():
        setattr(socket.socket, method, _names_checked(method, position, guard))
    _Guard.installed = True


def _names_checked(method: str, position: int, guard: _Guard) -> Callable[..., Any]:
    native = getattr(socket.socket, method)

    @functools.wraps(native)
    def checked(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and len(arguments) > position:
            guard.name_check(f"socket.{method}", arguments[position])
        return native(self, *arguments)

    return checked


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)


class _Guard:
    installed = False

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._checks: dict[str, Callable[[tuple[Any, ...]], str | None]] = {
            "socket.connect": self._sending,
            "socket.sendto": self._sending,
            "socket.sendmsg": self._sending,
            "socket.getaddrinfo": self._looking_up,
            "socket.gethostbyname": self._looking_up,
            "socket.gethostbyaddr": self._looking_up,
            "socket.getnameinfo": self._naming,
        }

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        check = self._checks.get(event)
        if check is None:
            return
        refused = check(args)
        if refused is not None:
            self._refuse(event, refused)

    def name_check(self, event: str, target: Any) -> None:
        """Refuse a target whose host is a name that may not be looked up; addresses are the hook's matter."""
        host = target[0] if isinstance(target, tuple) and target else None
        if isinstance(host, (str, bytes, bytearray)) and _address(_text(host)) is None:
            refused = self._unless_permitted(host)
            if refused is not None:
                self._refuse(event, refused)

    def _refuse(self, event: str, refused: str) -> None:
        _log.error("refused %s to %s\n%s", event, refused, "".join(traceback.format_stack(limit=STACK_DEPTH)))
        raise PermissionError(
            f"{event} to {refused} is refused: Cloister reaches loopback, unix sockets and the addresses in "
            "CLOISTER_ALLOWED_ADDRESSES, nothing else"
        )

    def _sending(self, args: tuple[Any, ...]) -> str | None:
        sock, target = args[0], args[1]
        if target is None or sock.family in _KERNEL_FAMILIES:
            return None
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            return self._unless_permitted(target[0])
        return f"{target!r} of family {sock.family}"

    def _looking_up(self, args: tuple[Any, ...]) -> str | None:
        return self._unless_permitted(args[0])

    def _naming(self, args: tuple[Any, ...]) -> str | None:
        return self._unless_permitted(args[0][0])

    def _unless_permitted(self, host: object) -> str | None:
        if host is None:
            return None
        text = _text(host)
        if text == "" or self._allowed.permits(text):
            return None
        return text
