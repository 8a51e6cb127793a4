"""How often somebody may do something in a minute, counted in the broker for all web processes together."""

from __future__ import annotations

import math
import time

from core.remote import broker

WINDOW_S = 60


def throttle_take(*, scope: str, who: str, per_minute: int) -> int:
    """Count one more of ``scope`` for ``who``.

    Args:
        scope: What is counted: search, ask, upload or login.
        who: Whose count it is.
        per_minute: How many are allowed in one minute of the clock.

    Returns:
        Seconds until the next is allowed; 0 when this one is.
    """
    key, left_s = _window(scope, who)
    with broker().pipeline(transaction=False) as pipeline:
        pipeline.incr(key)
        pipeline.expire(key, 2 * WINDOW_S)
        taken = pipeline.execute()[0]
    return left_s if taken > per_minute else 0


def throttle_left(*, scope: str, who: str, per_minute: int) -> int:
    """Like ``throttle_take`` for the next one, but count nothing."""
    key, left_s = _window(scope, who)
    return left_s if int(broker().get(key) or 0) >= per_minute else 0


def _window(scope: str, who: str) -> tuple[str, int]:
    now_s = time.time()
    return f"cloister:throttle:{scope}:{who}:{int(now_s // WINDOW_S)}", max(1, math.ceil(WINDOW_S - now_s % WINDOW_S))
