"""The Celery application: late acknowledgement, JSON only, no result backend.

The message is only a doorbell, PostgreSQL is the truth.
"""

from core.host import egress

egress.install()

import django  # noqa: E402
from celery import Celery  # noqa: E402
from django.conf import settings  # noqa: E402
from kombu import Queue  # noqa: E402

from core.settings.env import environment_default  # noqa: E402
from core.task_names import (  # noqa: E402
    ANSWER_GENERATE,
    QUERY_EMBED,
    QUEUE_BULK,
    QUEUE_INTERACTIVE,
    QUEUES,
    STATUS_REPORT,
    STEP_RUN,
)

environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
django.setup(set_prefix=False)

VISIBILITY_TIMEOUT_S = 6 * 3600
"""Longer than any step: the reaper finds lost work by its lease, so the transport need not deliver twice."""

app = Celery("cloister")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_keepalive": True,
        "priority_steps": list(range(10)),
    },
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    task_queues=[Queue(name) for name in QUEUES],
    task_default_queue=QUEUE_BULK,
    task_routes={
        STEP_RUN: {"queue": QUEUE_BULK},
        QUERY_EMBED: {"queue": QUEUE_INTERACTIVE},
        ANSWER_GENERATE: {"queue": QUEUE_INTERACTIVE},
        STATUS_REPORT: {"queue": QUEUE_INTERACTIVE},
    },
    enable_utc=True,
    timezone="UTC",
)
