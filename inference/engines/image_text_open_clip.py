"""A shared space of pictures and text: any open_clip architecture from a local safetensors checkpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from inference.errors import EmptyInput, EngineUnavailable, InputRejected
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.pictures import picture_check
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import RgbImage, Vectors

_Item = TypeVar("_Item")
_BATCHES_AHEAD = 2
_CONFIGURATION = "open_clip_config.json"


class OpenClipEmbedder:
    """Pictures and queries through the two towers of a CLIP model, in float32.

    While one batch goes through the picture tower, threads make the pictures of the next ones small: of a large picture
    that takes longer than the tower does.

    The folder holds ``model.safetensors``. Its architecture is either named by the option, or described by an
    ``open_clip_config.json`` beside it.

    Options:
        architecture: Name that open_clip knows, such as ``ViT-B-32``.
        batch_items: Pictures or texts in one forward pass.
        resize_threads: Threads that make pictures small.
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
        torch.set_num_threads(threads)
        chosen = dict(options or {})
        architecture = chosen.pop("architecture", None)
        self._batch_items = int(chosen.pop("batch_items", 32))
        resize_threads = int(chosen.pop("resize_threads", max(1, threads)))
        if chosen:
            raise InputRejected(
                f"open_clip does not know the options {sorted(chosen)}; it knows architecture, batch_items and"
                " resize_threads"
            )
        self._resizing = ThreadPoolExecutor(resize_threads, thread_name_prefix="open-clip-resize")
        name, pretrained = _source(folders[0], architecture)
        self._device = device
        with library_errors("open_clip", f"loading {folders[0]}"):
            torchvision_prepare()
            import open_clip

            self._model, _, self._prepare = open_clip.create_model_and_transforms(
                name, pretrained=pretrained, precision="fp32", device=device, weights_only=True
            )
            self._model.eval()
            self._tokenize = open_clip.get_tokenizer(name)
            self.dimensions = int(self._texts(["a"]).shape[1])

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """Embed pictures; float32, shape (len(batch), dimensions), unit rows."""
        for index, image in enumerate(batch):
            picture_check(image, index)
        with library_errors("open_clip", f"embedding {len(batch)} pictures"):
            # Lazily, so that at most the pictures of two batches are ready at a time.
            pending = deque[list[Future[torch.Tensor]]]()
            rows: list[Vectors] = []
            for images in _slices(batch, self._batch_items):
                pending.append([self._resizing.submit(self._pixels, image) for image in images])
                if len(pending) == _BATCHES_AHEAD:
                    rows.append(self._images(pending.popleft()))
            rows += [self._images(images) for images in pending]
            return np.concatenate(rows)

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed queries into the same space; longer than the text tower's window is cut off."""
        texts = [text.encode("utf-8", "replace").decode("utf-8").strip() for text in batch]
        if not all(texts):
            raise EmptyInput(f"text {texts.index('')} of the batch is empty: there is nothing to embed")
        with library_errors("open_clip", f"embedding {len(batch)} queries"):
            return np.concatenate([self._texts(part) for part in _slices(texts, self._batch_items)])

    def close(self) -> None:
        """End the threads."""
        self._resizing.shutdown(cancel_futures=True)

    def _pixels(self, image: RgbImage) -> torch.Tensor:
        pixels: torch.Tensor = self._prepare(Image.fromarray(image))
        return pixels

    @torch.inference_mode()
    def _images(self, pictures: Sequence[Future[torch.Tensor]]) -> Vectors:
        pixels = torch.stack([one.result() for one in pictures]).to(self._device)
        vectors: Vectors = self._model.encode_image(pixels, normalize=True).float().cpu().numpy()
        return vectors

    @torch.inference_mode()
    def _texts(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokenize(list(texts)).to(self._device)
        vectors: Vectors = self._model.encode_text(tokens, normalize=True).float().cpu().numpy()
        return vectors


def _source(folder: Path, architecture: str | None) -> tuple[str, str | None]:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise EngineUnavailable(f"{weights} is missing; fetch the model first")
    if architecture is not None:
        return architecture, str(weights)
    if not (folder / _CONFIGURATION).is_file():
        raise InputRejected(f"{folder} has no {_CONFIGURATION}; name the architecture in the role's options")
    return f"local-dir:{folder}", None


def _slices(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
