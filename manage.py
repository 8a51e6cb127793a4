#!/usr/bin/env python3
"""Django's entry: installs the egress guard, then runs one command."""

import sys

from core.host import egress
from core.settings.env import environment_default


def main() -> None:
    """Run the command that the arguments name."""
    egress.install()
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
