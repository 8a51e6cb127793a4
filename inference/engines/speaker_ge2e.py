"""Voice vectors from a GE2E encoder (Wan et al. 2018, arXiv 1710.10467), grouped into speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from sklearn.cluster import AgglomerativeClustering

from inference.errors import DamagedFile, EmptyInput, InputRejected
from inference.preprocessing import mel
from inference.preprocessing.library_errors import library_errors
from inference.values import SAMPLE_RATE_HZ, Vectors, VoiceRequest, VoiceVectors

ENGINE = "ge2e"
SHORTEST_S = 0.4
PARTIAL_FRAMES = 160
PARTIAL_STEP_FRAMES = 80
TARGET_RMS = 10 ** (-30 / 20)
"""The encoder's features are not logarithmic, so loudness matters; it was trained at -30 dBFS."""
USUAL_LENGTH_S = 2.0
THRESHOLD_LONG = 0.09
THRESHOLD_NOISE = 0.31
"""Two spans are as likely of one voice as of two at a cosine distance of 0.09 + 0.31 / sqrt(length in seconds).

Fitted between the distances of equal and of different voices (five synthetic ones and recordings of four people), whose
medians were 0.29 and 0.55 for spans of 0.8 s, 0.24 and 0.52 for 1.2 s, 0.17 and 0.47 for 2 s, 0.11 and 0.42 for 3 s.
"""
PARTIALS_AT_ONCE = 256
BLOCK_SPANS = 1000
"""Spans clustered at once: some 40 minutes of talk, and 8 MB of distances."""

TELLING_S = 1.0

Labels: TypeAlias = npt.NDArray[np.intp]


class Ge2eEncoder(torch.nn.Module):
    """Three LSTM layers over mel frames; the last state through a rectified linear layer is the voice vector."""

    def __init__(self, hidden: int = 256, dimensions: int = 256) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(mel.CHANNELS, hidden, num_layers=3, batch_first=True)
        self.linear = torch.nn.Linear(hidden, dimensions)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return unit vectors, shape (n, dimensions), for mel frames of shape (n, frames, 40)."""
        _, (state, _) = self.lstm(frames)
        return torch.nn.functional.normalize(torch.relu(self.linear(state[-1])), dim=1)


class Ge2eSpeakerEncoder:
    """Encodes spans by the mean of 1.6 s pieces and clusters them by cosine distance.

    Options:
        strictness: Below 1 more speakers are told apart, above 1 fewer; 1.
    """

    recipe_version = "3"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = dict(options or {})
        self._strictness = float(chosen.pop("strictness", 1.0))
        if chosen:
            raise InputRejected(f"{ENGINE} does not know the options {sorted(chosen)}; it knows strictness")
        torch.set_num_threads(threads)
        with library_errors(ENGINE, f"loading {folders[0]}"):
            tensors = load_file(folders[0] / "model.safetensors", device=device)
            self._encoder = Ge2eEncoder().to(device).eval()
            wanted = self._encoder.state_dict().keys()
            self._encoder.load_state_dict({name: tensors[name] for name in wanted})
        self._device = device
        self.dimensions = self._encoder.linear.out_features

    def embed_voices(self, batch: Sequence[VoiceRequest]) -> Sequence[VoiceVectors]:
        """Encode every span of every request; a span below 0.4 s gets a row of zeros."""
        for index, request in enumerate(batch):
            _check(index, request)
        with library_errors(ENGINE, f"encoding the voices of {len(batch)} recordings"), torch.inference_mode():
            return [self._voices(request) for request in batch]

    def cluster_voices(self, batch: Sequence[VoiceVectors]) -> Sequence[tuple[int, ...]]:
        """Number the speakers within each item by first appearance, from 0; their number is found or given.

        A span without a vector joins the span nearest to it in order. Long recordings are clustered in blocks, and then
        the voices of the blocks, so that memory grows with the spans and not with their square.
        """
        with library_errors(ENGINE, f"clustering the voices of {len(batch)} recordings"):
            return [self._speakers(item) for item in batch]

    def _voices(self, request: VoiceRequest) -> VoiceVectors:
        pieces = [self._pieces(request, span) for span in request.spans]
        vectors = torch.zeros(len(pieces), self.dimensions)
        if any(len(piece) for piece in pieces):
            encoded = torch.split(self._encoded(torch.cat(pieces)), [len(piece) for piece in pieces])
            for row, piece in enumerate(encoded):
                if len(piece):
                    vectors[row] = torch.nn.functional.normalize(piece.mean(dim=0), dim=0)
        lengths_s = np.array([end_s - start_s for start_s, end_s in request.spans], dtype=np.float32)
        return VoiceVectors(vectors=vectors.numpy(), lengths_s=lengths_s)

    def _pieces(self, request: VoiceRequest, span: tuple[float, float]) -> torch.Tensor:
        first, end = (round(time_s * SAMPLE_RATE_HZ) for time_s in span)
        sound = torch.from_numpy(np.array(request.waveform[max(first, 0) : end])).to(self._device)
        if len(sound) < SHORTEST_S * SAMPLE_RATE_HZ or not bool(sound.any()):
            return torch.zeros(0, PARTIAL_FRAMES, mel.CHANNELS, device=self._device)
        frames = mel.mel_power(sound * (TARGET_RMS / sound.square().mean().sqrt()))
        if len(frames) < PARTIAL_FRAMES:
            frames = frames.repeat(-(-PARTIAL_FRAMES // len(frames)), 1)[:PARTIAL_FRAMES]
        starts = [*range(0, len(frames) - PARTIAL_FRAMES, PARTIAL_STEP_FRAMES), len(frames) - PARTIAL_FRAMES]
        return torch.stack([frames[start : start + PARTIAL_FRAMES] for start in starts])

    def _encoded(self, pieces: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._encoder(part) for part in torch.split(pieces, PARTIALS_AT_ONCE)]).cpu()

    def _clustered(self, voices: VoiceVectors, speakers: int | None) -> Labels:
        count = len(voices.vectors)
        if count > BLOCK_SPANS:
            blocks = [slice(start, start + BLOCK_SPANS) for start in range(0, count, BLOCK_SPANS)]
            parts = [VoiceVectors(vectors=voices.vectors[one], lengths_s=_lengths_s(voices)[one]) for one in blocks]
            # Within a block the number is found, with some to spare: not everybody speaks in every block.
            inner = [self._clustered(part, None) for part in parts]
            found = [_centroids(part, labels) for part, labels in zip(parts, inner, strict=True)]
            joined = VoiceVectors(
                vectors=np.concatenate([one.vectors for one in found]),
                lengths_s=np.concatenate([_lengths_s(one) for one in found]),
            )
            outer = self._clustered(joined, speakers)
            starts = np.cumsum([0, *(len(one.vectors) for one in found)])
            return np.concatenate([outer[start + labels] for start, labels in zip(starts[:-1], inner, strict=True)])
        if speakers is not None:
            return _told_apart(voices, min(speakers, count))
        if count < 2:
            return np.zeros(count, dtype=np.intp)
        found_labels: Labels = AgglomerativeClustering(
            n_clusters=None, distance_threshold=self._strictness, metric="precomputed", linkage="average"
        ).fit_predict(_relative_distances(voices))
        return found_labels

    def _speakers(self, voices: VoiceVectors) -> tuple[int, ...]:
        vectors = voices.vectors
        told = np.flatnonzero(np.any(vectors != 0, axis=1))
        if len(told) == 0:
            return (0,) * len(vectors)
        told_voices = VoiceVectors(vectors=vectors[told], lengths_s=_lengths_s(voices)[told])
        labels = self._clustered(told_voices, voices.speakers)
        nearest = _nearest(len(vectors), told)
        return numbered(labels[nearest].tolist())


def _told_apart(voices: VoiceVectors, speakers: int) -> Labels:
    """Cluster into a given number: short spans scatter too much to found a speaker, and join the nearest one."""
    lengths_s = _lengths_s(voices)
    longest = np.argsort(-lengths_s, kind="stable")
    telling = longest[: max(speakers, int((lengths_s >= TELLING_S).sum()))]
    labels = np.zeros(len(telling), dtype=np.intp)
    if speakers > 1:
        labels = AgglomerativeClustering(n_clusters=speakers, linkage="ward").fit_predict(voices.vectors[telling])
    chosen = VoiceVectors(vectors=voices.vectors[telling], lengths_s=lengths_s[telling])
    nearest: Labels = (voices.vectors @ _centroids(chosen, labels).vectors.T).argmax(axis=1)
    nearest[telling] = labels
    return nearest


def _lengths_s(voices: VoiceVectors) -> Vectors:
    if voices.lengths_s is not None:
        return voices.lengths_s
    return np.full(len(voices.vectors), USUAL_LENGTH_S, dtype=np.float32)


def _relative_distances(voices: VoiceVectors) -> npt.NDArray[np.float64]:
    """Return cosine distances in units of the distance at which one voice and two are equally likely."""
    vectors = voices.vectors.astype(np.float64)
    threshold = THRESHOLD_LONG + THRESHOLD_NOISE / np.sqrt(_lengths_s(voices))
    distances = np.clip(1 - vectors @ vectors.T, 0, None) / ((threshold[:, None] + threshold[None, :]) / 2)
    np.fill_diagonal(distances, 0)
    return np.asarray(distances)


def _centroids(voices: VoiceVectors, labels: Labels) -> VoiceVectors:
    """Return one voice per label, 0 to the largest; what is said longer counts for more."""
    lengths_s = _lengths_s(voices)
    count = int(labels.max()) + 1
    sums = np.zeros((count, voices.vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, voices.vectors * lengths_s[:, None])
    spoken_s = np.bincount(labels, weights=lengths_s, minlength=count)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return VoiceVectors(
        vectors=np.asarray(sums / norms, dtype=np.float32), lengths_s=np.asarray(spoken_s, dtype=np.float32)
    )


def _nearest(count: int, told: Labels) -> Labels:
    """Return for every row the position of the nearest row in ``told``, which is in order."""
    after = np.searchsorted(told, np.arange(count)).clip(0, len(told) - 1)
    before = (after - 1).clip(0)
    rows = np.arange(count)
    return np.where(np.abs(told[before] - rows) <= np.abs(told[after] - rows), before, after)


def numbered(labels: Sequence[int]) -> tuple[int, ...]:
    """Renumber labels by first appearance, from 0."""
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return tuple(order[label] for label in labels)


def _check(index: int, request: VoiceRequest) -> None:
    waveform = request.waveform
    if waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InputRejected(
            f"waveform {index} is {waveform.dtype} of shape {waveform.shape}; wanted is mono float32 of 16,000 Hz"
        )
    if waveform.size == 0 or not request.spans:
        raise EmptyInput(f"request {index} has no {'samples' if waveform.size == 0 else 'spans'}")
    if not np.isfinite(waveform).all():
        raise DamagedFile(f"waveform {index} has samples that are not numbers")
    limit_s = waveform.size / SAMPLE_RATE_HZ + 0.1
    for start_s, end_s in request.spans:
        if not 0 <= start_s < end_s <= limit_s:
            raise InputRejected(f"span {start_s} to {end_s} s does not lie in the {limit_s:.1f} s of waveform {index}")
