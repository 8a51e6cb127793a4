"""Work that an engine is given before anybody's own: a little to warm it up, the most to measure it.

Warm-up pays what libraries put off to the first call: kernels chosen, buffers made, tokenizers built. An engine that
cannot do it is not ready. The probe's content is made up; its sizes are those of real work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.registry import Role
from inference.values import SAMPLE_RATE_HZ, ChatMessage, ChatRequest, PictureToDescribe, VoiceRequest

_TEXT_TOKENS = 256
_PAGE_PX = (1754, 1240)
_PICTURE_PX = (1024, 1024)
_SMALL_PX = (224, 224)
_SOUND_S = 60.0
_VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
_FORMANT_WIDTHS_HZ = (80, 90, 120)
_SPAN_S = 3.0
_WORD = "harbour "

Size = tuple[int, int]


def warm_up(role: Role, engine: Any) -> None:
    """Run the smallest sensible batch through each method of an engine.

    Raises:
        InferenceError: What the engine raised.
    """
    for method in role.methods:
        if make := _SMALL.get(method):
            _run(engine, method, make(), 1)


def probe(role: Role, engine: Any, *, max_batch_items: int, batch_units: int) -> None:
    """Run the largest batch that a profile allows through each method of an engine.

    Args:
        role: Of the engine.
        engine: Loaded and warm.
        max_batch_items: Of the profile.
        batch_units: Most tokens, pixels or samples of a batch; 0 for no bound.

    Raises:
        InferenceError: What the engine raised.
    """
    for method in role.methods:
        if method in _LARGE:
            units, make = _LARGE[method]
            items = min(max_batch_items, max(1, batch_units // units)) if batch_units else max_batch_items
            _run(engine, method, make(), items)
        elif method == "generate":
            _drain(engine.generate(_filling(engine)))


def small_item(method: str) -> Any:
    """Return the smallest sensible item for a method."""
    return _SMALL[method]()


def large_item(method: str) -> Any:
    """Return an item of the size that a page, a picture, a minute of speech or a full text window has."""
    return _LARGE[method][1]()


def _run(engine: Any, method: str, item: Any, items: int) -> None:
    if method == "generate":
        _drain(engine.generate(item))
    else:
        getattr(engine, method)([item] * items)


def _drain(pieces: Any) -> None:
    for _ in pieces:
        pass


def _filling(engine: Any) -> ChatRequest:
    most_tokens = int(engine.context_tokens)
    tokens_each = max(1.0, engine.count_tokens([_WORD * 64])[0] / 64)
    # The chat template takes some of the window as well.
    words = int(most_tokens * 0.8 / tokens_each)
    return ChatRequest(messages=(ChatMessage(role="user", content=_WORD * words),), max_tokens=8)


def _picture(size: Size) -> npt.NDArray[np.uint8]:
    # Dark bars on white: something to find for detectors, at the density of a page of text.
    picture = np.full((*size, 3), 255, dtype=np.uint8)
    picture[20 : size[0] - 20 : 28, 40 : size[1] - 40] = 30
    return picture


def _sound(length_s: float) -> npt.NDArray[np.float32]:
    # A glottal pulse train through the formants of vowels (Fant 1960): voice activity detection takes it for speech,
    # so that the recogniser behind it really decodes.
    chance = np.random.default_rng(0)
    sound = np.zeros(int(length_s * SAMPLE_RATE_HZ), dtype=np.float32)
    begin = 0
    while begin < len(sound):
        syllable = _syllable(chance)[: len(sound) - begin]
        sound[begin : begin + len(syllable)] = syllable
        begin += len(syllable) + int(chance.uniform(0.02, 0.08) * SAMPLE_RATE_HZ)
    return sound


def _syllable(chance: np.random.Generator) -> npt.NDArray[np.float32]:
    from scipy.signal import lfilter

    samples = int(chance.uniform(0.12, 0.3) * SAMPLE_RATE_HZ)
    pitch_hz = chance.uniform(95.0, 150.0) * np.linspace(1.1, 0.9, samples)
    wave = np.diff(np.floor(np.cumsum(pitch_hz / SAMPLE_RATE_HZ)), prepend=0.0) + chance.normal(0.0, 0.01, samples)
    for formant_hz, width_hz in zip(_VOWELS_HZ[chance.integers(len(_VOWELS_HZ))], _FORMANT_WIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
        turn = 2 * np.pi * formant_hz / SAMPLE_RATE_HZ
        wave = lfilter([1 - radius], [1, -2 * radius * np.cos(turn), radius**2], wave)
    shaped = wave * np.sqrt(np.sin(np.pi * np.linspace(0.0, 1.0, samples)))
    syllable: npt.NDArray[np.float32] = (0.4 * shaped / np.abs(shaped).max()).astype(np.float32)
    return syllable


def _voices(length_s: float) -> VoiceRequest:
    spans = tuple((begin, begin + _SPAN_S) for begin in np.arange(0.0, length_s - _SPAN_S + 0.1, _SPAN_S))
    return VoiceRequest(waveform=_sound(length_s), spans=spans)


def _chat() -> ChatRequest:
    return ChatRequest(messages=(ChatMessage(role="user", content="Hello"),), max_tokens=2)


_SMALL: dict[str, Callable[[], Any]] = {
    "embed_texts": lambda: "warm",
    "embed_images": lambda: _picture(_SMALL_PX),
    "transcribe": lambda: _sound(2.0),
    "embed_voices": lambda: _voices(_SPAN_S),
    "read": lambda: _picture(_SMALL_PX),
    "detect": lambda: _picture(_SMALL_PX),
    "describe": lambda: PictureToDescribe(image=_picture(_SMALL_PX)),
    "score": lambda: ("warm", "warm"),
    "generate": _chat,
    "count_tokens": lambda: "warm",
}

_LARGE: dict[str, tuple[int, Callable[[], Any]]] = {
    "embed_texts": (_TEXT_TOKENS, lambda: _WORD * _TEXT_TOKENS),
    "embed_images": (_PICTURE_PX[0] * _PICTURE_PX[1], lambda: _picture(_PICTURE_PX)),
    "transcribe": (int(_SOUND_S * SAMPLE_RATE_HZ), lambda: _sound(_SOUND_S)),
    "embed_voices": (int(_SOUND_S * SAMPLE_RATE_HZ), lambda: _voices(_SOUND_S)),
    "read": (_PAGE_PX[0] * _PAGE_PX[1], lambda: _picture(_PAGE_PX)),
    "detect": (_PAGE_PX[0] * _PAGE_PX[1], lambda: _picture(_PAGE_PX)),
    "describe": (_PICTURE_PX[0] * _PICTURE_PX[1], lambda: PictureToDescribe(image=_picture(_PICTURE_PX))),
    "score": (2 * _TEXT_TOKENS, lambda: (_WORD * 16, _WORD * _TEXT_TOKENS)),
}
"""Units of one item, and the item."""
