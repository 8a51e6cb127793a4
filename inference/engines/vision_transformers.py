"""A generative vision-language model from a local folder, through transformers' own classes and chat template."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference.errors import EngineUnavailable, InputRejected
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.picture_prompts import picture_prompt, text_fact
from inference.preprocessing.pictures import picture_check
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import ChatDelta, PictureDescription, PictureFact, PictureToDescribe, RgbImage

_NAME = "vision_transformers"
_STREAM_TIMEOUT_S = 300.0
_LONGEST_SHAPE = 100
"""Long side to short side; some processors refuse longer strips."""


class TransformersDescriber:
    """Describes pictures, answers about them and reads tables with any image-text-to-text architecture.

    The folder is one that ``save_pretrained`` wrote or a hub's repository holds: config.json, safetensors, the files of
    the processor and the tokenizer, a chat template. Code inside the folder is never run. float32 on the CPU, where
    half precision is many times slower; bfloat16 on a GPU.

    Options:
        max_tokens: Longest caption or answer.
        batch_items: Pictures generated for side by side.
    """

    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = {"max_tokens": 160, "batch_items": 4} | dict(options or {})
        self._max_tokens, self._batch_items = int(chosen.pop("max_tokens")), int(chosen.pop("batch_items"))
        if chosen:
            raise InputRejected(f"{_NAME} does not know the options {sorted(chosen)}; it knows max_tokens, batch_items")
        if not (folders[0] / "config.json").is_file():
            raise EngineUnavailable(f"{folders[0] / 'config.json'} is missing; add the model first")
        torch.set_num_threads(threads)
        torchvision_prepare()  # transformers imports torchvision where it is installed
        from transformers import AutoModelForImageTextToText, AutoProcessor

        with library_errors(_NAME, f"loading {folders[0]}"):
            self._processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folders[0], local_files_only=True
            )
            # Answers grow to the right, so what pads a batch has to stand at the left.
            self._processor.tokenizer.padding_side = "left"
            self._model: Any = AutoModelForImageTextToText.from_pretrained(
                folders[0],
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32 if device == "cpu" else torch.bfloat16,
            )
            torch.nn.Module.to(self._model, device).eval()  # type: ignore[no-untyped-call]
        self._device = device

    def describe(self, batch: Sequence[PictureToDescribe]) -> Sequence[PictureDescription]:
        """Describe each picture, or answer its question; never from a name or metadata."""
        for index, request in enumerate(batch):
            picture_check(request.image, index)
        with library_errors(_NAME, f"describing {len(batch)} pictures"):
            described: list[PictureDescription] = []
            for start in range(0, len(batch), self._batch_items):
                described += self._describe(batch[start : start + self._batch_items])
        return described

    def stream(self, request: PictureToDescribe) -> Iterator[ChatDelta]:
        """Stream the caption or the answer of one picture; closing the iterator ends generation within one token."""
        picture_check(request.image, 0)
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        ended = threading.Event()

        class Ended(StoppingCriteria):
            def __call__(self, input_ids: torch.Tensor, scores: Any, **_kwargs: Any) -> torch.Tensor:  # noqa: ARG002
                return torch.full((input_ids.shape[0],), ended.is_set(), dtype=torch.bool, device=input_ids.device)

        streamer = TextIteratorStreamer(
            self._processor.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=_STREAM_TIMEOUT_S
        )
        inputs = self._inputs([request])
        failures: list[BaseException] = []

        def generate() -> None:
            try:
                self._generate(inputs, streamer=streamer, stopping_criteria=StoppingCriteriaList([Ended()]))
            except BaseException as error:  # noqa: BLE001 - the boundary of a thread: the reader raises it
                failures.append(error)
                streamer.end()  # type: ignore[no-untyped-call]

        thread = threading.Thread(target=generate, name="vision-generation", daemon=True)
        thread.start()
        try:
            for text in streamer:
                if text:
                    yield ChatDelta(text=text)
        finally:
            ended.set()
            thread.join()
        with library_errors(_NAME, "answering about a picture"):
            if failures:
                raise failures[0]
        yield ChatDelta(text="", finish_reason="stop", prompt_tokens=int(inputs["input_ids"].shape[1]))

    def close(self) -> None:
        """Let go of the model."""
        del self._model

    def _describe(self, batch: Sequence[PictureToDescribe]) -> list[PictureDescription]:
        inputs = self._inputs(batch)
        generated = self._generate(inputs, return_dict_in_generate=True, output_scores=True)
        written = generated.sequences[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(written, skip_special_tokens=True)
        scores = self._model.compute_transition_scores(generated.sequences, generated.scores, normalize_logits=True)
        return [
            _description(request, text.strip(), _confidence(row))
            for request, text, row in zip(batch, texts, scores, strict=True)
        ]

    def _inputs(self, batch: Sequence[PictureToDescribe]) -> Any:
        conversations = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": picture_prompt(request)}]}]
            for request in batch
        ]
        prompts = [
            self._processor.apply_chat_template(one, add_generation_prompt=True, tokenize=False)
            for one in conversations
        ]
        return self._processor(
            text=prompts,
            images=[[_presentable(request.image)] for request in batch],
            padding=True,
            return_tensors="pt",
        ).to(self._device)

    @torch.inference_mode()
    def _generate(self, inputs: Any, **options: Any) -> Any:
        return self._model.generate(**inputs, max_new_tokens=self._max_tokens, do_sample=False, **options)


def _presentable(image: RgbImage) -> Image.Image:
    """Return the picture, a strip padded with white to a shape that every processor takes."""
    height, width = image.shape[:2]
    if max(height, width) <= _LONGEST_SHAPE * min(height, width):
        return Image.fromarray(image)
    shape = max(width, math.ceil(height / _LONGEST_SHAPE)), max(height, math.ceil(width / _LONGEST_SHAPE))
    canvas = Image.new("RGB", shape, "white")
    canvas.paste(Image.fromarray(image))
    return canvas


def _confidence(logprobs: torch.Tensor) -> float:
    """Return the geometric mean of the written tokens' probabilities; what follows the end has minus infinity."""
    kept = [value for value in logprobs.tolist() if math.isfinite(value)]
    return math.exp(sum(kept) / len(kept)) if kept else 0.0


def _description(request: PictureToDescribe, text: str, confidence: float) -> PictureDescription:
    facts = [PictureFact(name="caption", value=text or "nothing", confidence=confidence), *text_fact(request)]
    return PictureDescription(caption=text or "The model wrote nothing.", facts=tuple(facts), engine=_NAME)
