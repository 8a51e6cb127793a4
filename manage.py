#!/usr/bin/env python3
"""Django's entry: installs the egress guard, then runs one command."""

import sys

from core.host import egress
from core.settings.env import environment_default, environment_set


def main() -> None:
    """Run the command that the arguments name."""
    egress.install()
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    _port_take(sys.argv)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _port_take(arguments: list[str]) -> None:
    # Settings are read before a command sees its options, so --port becomes CLOISTER_PORT here.
    for index, argument in enumerate(arguments):
        if argument == "--port" and index + 1 < len(arguments):
            environment_set(CLOISTER_PORT=arguments[index + 1])
        elif argument.startswith("--port="):
            environment_set(CLOISTER_PORT=argument.removeprefix("--port="))


if __name__ == "__main__":
    main()
