"""EfficientNet-Lite0 over whole pictures: logits, features of all its stages, and the words for its classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from inference.preprocessing.pictures import full_frame, picture_check
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import RgbImage

Logits = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

CLASS_COUNT = 1000
_ARCHITECTURE = "tf_efficientnet_lite0"
_TRAINED_SIDE_PX = 224
_FEATURE_SIDE_PX = 320
_MEAN = 0.5
_DEVIATION = 0.5
_PICTURES_PER_PASS = 8


class ImageNetClassifier:
    """Logits of the 1,000 ImageNet classes, averaged over the full frame and its mirror image."""

    def __init__(self, folder: Path, *, device: str) -> None:
        torchvision_prepare()
        import timm

        self._device = device
        self._model = timm.create_model(_ARCHITECTURE, pretrained=False)
        self._model.load_state_dict(load_file(folder / "model.safetensors"))
        self._model.eval().to(device)

    def logits(self, images: Sequence[RgbImage]) -> Logits:
        """Return one row of 1,000 logits per picture, in input order.

        Raises:
            InputRejected: A picture has another type or shape, or no pixels.
        """
        return self._by_shape(images, _TRAINED_SIDE_PX, self._pass)

    def features(self, images: Sequence[RgbImage]) -> Features:
        """Return one row of features per picture, in input order, from one pass at 320 px.

        Mean and deviation of every stage tell textures and strokes, mean and maximum of the last layer tell objects.

        Raises:
            InputRejected: A picture has another type or shape, or no pixels.
        """
        return self._by_shape(images, _FEATURE_SIDE_PX, self._feature_pass)

    def logits_of(self, features: Features) -> Logits:
        """Return the logits that one row of features amounts to: those of one pass at 320 px."""
        layer: Any = self._model.classifier
        width = layer.in_features
        pooled = torch.from_numpy(features[-2 * width : -width]).to(self._device)
        with torch.inference_mode():
            found: Logits = layer(pooled).cpu().numpy()
        return found

    def _by_shape(
        self, images: Sequence[RgbImage], side_px: int, one_pass: Callable[[npt.NDArray[np.uint8]], Logits]
    ) -> Logits:
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        frames: list[RgbImage] = []
        for index, image in enumerate(images):
            picture_check(image, index)
            frame = full_frame(image, area_side_px=side_px)
            frames.append(frame)
            by_shape[frame.shape].append(index)
        rows: dict[int, Logits] = {}
        for indices in by_shape.values():
            for start in range(0, len(indices), _PICTURES_PER_PASS):
                chosen = indices[start : start + _PICTURES_PER_PASS]
                found = one_pass(np.stack([frames[index] for index in chosen]))
                rows.update(zip(chosen, found, strict=True))
        return np.stack([rows[index] for index in range(len(frames))])

    @torch.inference_mode()
    def _pass(self, frames: npt.NDArray[np.uint8]) -> Logits:
        pixels = self._pixels(frames)
        both = self._model(torch.cat([pixels, pixels.flip(3)]))
        averaged: Logits = both.reshape(2, len(frames), CLASS_COUNT).mean(0).cpu().numpy()
        return averaged

    @torch.inference_mode()
    def _feature_pass(self, frames: npt.NDArray[np.uint8]) -> Features:
        model: Any = self._model
        maps = model.bn1(model.conv_stem(self._pixels(frames)))
        parts = []
        for stage in model.blocks:
            maps = stage(maps)
            parts += [maps.mean((2, 3)), maps.std((2, 3), correction=0)]
        maps = model.bn2(model.conv_head(maps))
        parts += [maps.mean((2, 3)), maps.amax((2, 3))]
        rows: Features = torch.cat(parts, 1).cpu().numpy()
        return rows

    def _pixels(self, frames: npt.NDArray[np.uint8]) -> torch.Tensor:
        pixels = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2).float() / 255
        return (pixels - _MEAN) / _DEVIATION


def class_synonyms() -> list[list[str]]:
    """Return the names of every class, the usual one first, such as ``["tabby", "tabby cat"]``."""
    return [[name.strip() for name in text.split(",")] for text in _descriptions(detailed=False)]


def class_definitions() -> list[str]:
    """Return names and WordNet definition of every class in one sentence."""
    return _descriptions(detailed=True)


def _descriptions(*, detailed: bool) -> list[str]:
    torchvision_prepare()
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    return [info.index_to_description(index, detailed=detailed) for index in range(CLASS_COUNT)]
