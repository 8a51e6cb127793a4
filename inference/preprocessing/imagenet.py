"""EfficientNet-Lite0 over whole pictures, and the words that ImageNet has for its classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from inference.preprocessing.pictures import full_frame, picture_check
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import RgbImage

Logits = npt.NDArray[np.float32]

CLASS_COUNT = 1000
_ARCHITECTURE = "tf_efficientnet_lite0"
_TRAINED_SIDE_PX = 224
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
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        frames: list[RgbImage] = []
        for index, image in enumerate(images):
            picture_check(image, index)
            frame = full_frame(image, area_side_px=_TRAINED_SIDE_PX)
            frames.append(frame)
            by_shape[frame.shape].append(index)
        rows = np.empty((len(frames), CLASS_COUNT), dtype=np.float32)
        for indices in by_shape.values():
            for start in range(0, len(indices), _PICTURES_PER_PASS):
                chosen = indices[start : start + _PICTURES_PER_PASS]
                rows[chosen] = self._pass(np.stack([frames[index] for index in chosen]))
        return rows

    @torch.inference_mode()
    def _pass(self, frames: npt.NDArray[np.uint8]) -> Logits:
        pixels = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2).float() / 255
        pixels = (pixels - _MEAN) / _DEVIATION
        both = self._model(torch.cat([pixels, pixels.flip(3)]))
        averaged: Logits = both.reshape(2, len(frames), CLASS_COUNT).mean(0).cpu().numpy()
        return averaged


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
