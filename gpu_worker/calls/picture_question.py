"""Asks the vision-language role about one stored picture."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_worker import services
from gpu_worker.material import picture_load
from inference.values import Box, PictureToDescribe, TextLine

DEADLINE_S = 60.0

_WHOLE = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)


def picture_ask(*, picture_sha256: str, lines: Sequence[str], question: str) -> str | None:
    """Return what the role answers from a picture, or None when it cannot tell.

    Args:
        picture_sha256: Of the stored picture.
        lines: What OCR read in it; where each line stands is not asked again.
        question: One that stands alone.
    """
    asked = PictureToDescribe(
        image=picture_load(picture_sha256),
        lines=tuple(TextLine(text=line, box=_WHOLE, confidence=1.0) for line in lines),
        question=question,
    )
    with services.engines().lease(role="vision", priority="interactive", deadline_s=DEADLINE_S) as describer:
        (description,) = describer.describe([asked])
    return None if description.declined else str(description.caption)
