"""Loads the web application with every view that an address leads to."""

from django.urls import get_resolver

import core.asgi

application = core.asgi.application
addresses = get_resolver("core.urls").reverse_dict
