"""A Celery worker for one queue: threads that wait for engines and sandboxes; loads no model library."""

from __future__ import annotations

import argparse
import logging

from core.host import egress

egress.install()

# After the guard: setting Django up connects to nothing, but whatever it imports is guarded from its first line.
from django.utils import timezone  # noqa: E402

from core.celery_app import app  # noqa: E402
from core.jobs.service import leases_release  # noqa: E402
from core.segments.fill import fills_release  # noqa: E402
from core.settings.env import env  # noqa: E402
from core.settings.profile import profile  # noqa: E402
from core.task_names import QUEUE_BULK, QUEUES  # noqa: E402
from gpu_worker import services, tasks  # noqa: E402
from gpu_worker.heartbeat import heartbeat_start  # noqa: E402

logger = logging.getLogger(__name__)


def main() -> None:
    """Release what this slot held in its former life, then serve the queue until SIGTERM."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--queue", required=True, choices=QUEUES)
    queue: str = arguments.parse_args().queue
    logging.basicConfig(level=env().log_level, format=f"%(asctime)s worker-{queue} %(levelname)s %(message)s")
    services.slot_set(services.slot_of(queue))
    released = leases_release(owner=services.slot(), now=timezone.now())
    released += fills_release(owner=services.slot(), now=timezone.now())
    if released:
        logger.info("slot %s gave back %d steps of its former life", services.slot(), released)
    concurrency = profile().bulk_concurrency if queue == QUEUE_BULK else profile().interactive_concurrency
    logger.info("slot %s serves %s with %d threads: %s", services.slot(), queue, concurrency, tasks.__name__)
    heartbeat_start(queue=queue, threads=concurrency)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={concurrency}",
            f"--queues={queue}",
            f"--hostname={services.slot().replace('@', '-')}@%h",
            f"--loglevel={env().log_level}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()
