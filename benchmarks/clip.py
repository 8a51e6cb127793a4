"""Are 12-megapixel photographs embedded faster than one is decoded, made small and embedded after the other?

ViT-B-32 with random weights: what it sees is nonsense, how long it takes is not. On a GPU the peer is the forward pass
alone, on the CPU the same three steps one after another.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from benchmarks.anchor import anchor
from benchmarks.report import Figure, figure_of_runs, report
from core.settings.profile import profile
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.registry import engine_load
from inference.values import RgbImage, Vectors

ARCHITECTURE = "ViT-B-32"
SHAPE = (3000, 4000)
PICTURES = 24
BATCH = 8
ROUNDS = 3


def photographs() -> list[bytes]:
    """Return 12-megapixel JPEGs with the smooth and the rough parts that photographs have."""
    drawn = np.random.default_rng(9)
    encoded = []
    for _ in range(PICTURES):
        coarse = Image.fromarray(drawn.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(SHAPE[::-1], Image.Resampling.BICUBIC), dtype=np.int16)
        rough = smooth + drawn.integers(-12, 13, (*SHAPE, 1), dtype=np.int16)
        with io.BytesIO() as written:
            Image.fromarray(rough.clip(0, 255).astype(np.uint8)).save(written, "JPEG", quality=90)
            encoded.append(written.getvalue())
    return encoded


def decoded(photograph: bytes) -> RgbImage:
    """Decode one JPEG; (height, width, 3) uint8."""
    with Image.open(io.BytesIO(photograph)) as image:
        return np.asarray(image.convert("RGB"))


def batches(items: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield them by ``BATCH``."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


class Serial:
    """The library called as its documentation shows."""

    def __init__(self, weights: Path, device: str) -> None:
        torchvision_prepare()
        import open_clip

        self._model, _, self._prepare = open_clip.create_model_and_transforms(
            ARCHITECTURE, pretrained=str(weights), precision="fp32", device=device
        )
        self._model.eval()
        self._device = device

    @torch.inference_mode()
    def embed(self, items: Sequence[bytes]) -> tuple[float, Vectors]:
        """Return the seconds of the forward passes alone, and all vectors."""
        forward_s, rows = 0.0, []
        for part in batches(items):
            pixels = torch.stack([self._prepare(Image.fromarray(decoded(one))) for one in part]).to(self._device)
            begun_s = time.perf_counter()
            rows.append(self._model.encode_image(pixels, normalize=True).float().cpu().numpy())
            forward_s += time.perf_counter() - begun_s
        return forward_s, np.concatenate(rows)


def measured(device: str, threads: int) -> Figure:
    """Compare the engine, fed by decoding threads as the worker's sandboxes feed it, with the library."""
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        torchvision_prepare()
        import open_clip
        from safetensors.torch import save_file

        torch.manual_seed(0)
        save_file(open_clip.create_model(ARCHITECTURE, precision="fp32").state_dict(), weights)
        options = {"architecture": ARCHITECTURE, "batch_items": BATCH}
        engine = engine_load("open_clip", [Path(folder)], threads=threads, device=device, options=options)
        serial = Serial(weights, device)
    items = photographs()
    ratios, cosines = [], []
    with ThreadPoolExecutor(threads) as decoding:
        for _ in range(ROUNDS):
            begun_s = time.perf_counter()
            forward_s, expected = serial.embed(items)
            serial_s = time.perf_counter() - begun_s
            begun_s = time.perf_counter()
            # The next pictures are decoded while these are embedded.
            ahead = [[decoding.submit(decoded, one) for one in part] for part in batches(items)]
            found = np.concatenate([engine.embed_images([one.result() for one in part]) for part in ahead])
            ours_s = time.perf_counter() - begun_s
            ratios.append((serial_s if device == "cpu" else forward_s) / ours_s)
            cosines.append(float((found * expected).sum(axis=1).min()))
    engine.close()
    return figure_of_runs(
        "clip: 12-megapixel JPEGs / " + ("serial decode then forward" if device == "cpu" else "forward pass alone"),
        ratios,
        goal=1.2 if device == "cpu" else 0.95,
        quality={"least cosine": round(statistics.median(cosines), 6)},
        anchor=anchor(),
    )


def main() -> None:
    """Measure, print and store."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    threads = max(role.threads for role in profile().roles.values())
    figures = [measured(device, threads)]
    result = report("clip", figures, architecture=ARCHITECTURE, device=device, pictures=PICTURES, batch=BATCH)
    sys.stdout.write(json.dumps(result, default=str) + "\n")


if __name__ == "__main__":
    main()
