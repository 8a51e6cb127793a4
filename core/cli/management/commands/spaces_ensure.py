"""``manage.py spaces_ensure``: makes the embedding spaces of this host's profile; loads no model."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.segments.service import space_activate, spaces_ensure
from core.segments.space_spec import space_specs


class Command(BaseCommand):
    help = "Create the embedding spaces that the profile's roles embed into; the first of a name becomes active."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--activate",
            action="store_true",
            help="Let the profile's spaces answer searches in place of those that are active now.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        for space in spaces_ensure(specs=list(space_specs().values())):
            if options["activate"]:
                space_activate(space_id=space.pk)
            space.refresh_from_db(using="owner")
            state = "active" if space.active else "not active; ./cloister spaces fill and switch make it so"
            self.stdout.write(f"{space.name}: space {space.digest[:12]}, {space.dimensions} dimensions, {state}")
