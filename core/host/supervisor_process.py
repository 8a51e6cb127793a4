"""supervisord under the egress guard: ``python -m core.host.supervisor_process -c FILE``."""

from __future__ import annotations

from core.host import egress


def main() -> None:
    """Run supervisord with the arguments of this process."""
    egress.install()
    from supervisor import supervisord

    supervisord.main()


if __name__ == "__main__":
    main()
