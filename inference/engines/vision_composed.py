"""Captions composed from facts: a head on the picture backbone, ImageNet, OCR lines, pixels. It says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from inference.errors import InputRejected
from inference.preprocessing.barcode import barcode_read
from inference.preprocessing.imagenet import Features, ImageNetClassifier, class_synonyms
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.picture_facts import (
    barcode_fact,
    brightness_fact,
    chart_fact,
    code_fact,
    colours_fact,
    content_fact,
    judged_facts,
    text_fact,
    unknown,
)
from inference.preprocessing.picture_head import PictureHead, head_input
from inference.preprocessing.picture_measure import bars_find, picture_measure
from inference.preprocessing.picture_sentences import answer, caption
from inference.preprocessing.pictures import picture_check
from inference.values import PictureDescription, PictureFact, PictureToDescribe, RgbImage

_NAME = "composed_describer"


class ComposedDescriber:
    """States only what was measured: no sentence comes from a generative model, and silence is preferred to a guess.

    Folders: the ImageNet classifier. The head is part of the program: weights/heads/pictures.safetensors.
    """

    recipe_version = "2"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if options:
            raise InputRejected(f"{_NAME} does not know the options {sorted(options)}; it has none")
        torch.set_num_threads(threads)
        with library_errors(_NAME, f"loading {folders[0]}"):
            self._classifier = ImageNetClassifier(folders[0], device=device)
            self._head = PictureHead()
            self._synonyms = class_synonyms()

    def describe(self, batch: Sequence[PictureToDescribe]) -> Sequence[PictureDescription]:
        """Describe each picture from its pixels and OCR lines only; never from a name or metadata."""
        for index, request in enumerate(batch):
            picture_check(request.image, index)
        with library_errors(_NAME, f"describing {len(batch)} pictures"):
            features = self._classifier.features([request.image for request in batch])
            return [self._describe(request, row) for request, row in zip(batch, features, strict=True)]

    def _describe(self, request: PictureToDescribe, features: Features) -> PictureDescription:
        facts = {fact.name: fact for fact in self._facts(request, features)}
        said = caption(facts) if request.question is None else answer(request.question, request.lines, facts)
        return PictureDescription(caption=said, facts=tuple(facts.values()), engine=_NAME)

    def _facts(self, request: PictureToDescribe, features: Features) -> list[PictureFact]:
        image = request.image
        measure = picture_measure(image)
        (judgements,) = self._head.judge(head_input(features, image, measure)[None])
        kind = judgements.kind.value
        code = None if judgements.present["barcode"].value == "no" else barcode_read(image)
        bars = bars_find(image) if measure.ground_light else None
        return [
            *judged_facts(judgements),
            self._content(request.image, features) if kind == "photograph" else unknown("content"),
            chart_fact(judgements, bars),
            barcode_fact(judgements.present["barcode"], code),
            code_fact(code),
            text_fact(request.lines),
            colours_fact(measure, drawn=kind == "chart" or bars is not None),
            brightness_fact(measure),
        ]

    def _content(self, image: RgbImage, features: Features) -> PictureFact:
        # An object that is one at both scales is seldom a chance likeness.
        logits = (self._classifier.logits([image])[0] + self._classifier.logits_of(features)) / 2
        return content_fact(logits, self._synonyms)
