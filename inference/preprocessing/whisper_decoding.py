"""Decodes windows of sound with a Whisper model in CTranslate2 form, many at a time, each as long as it is.

Whisper was trained on windows of 30 s, and the libraries pad every clip to that. The encoder takes shorter input as
well: half the length costs a quarter of the time and gives the same words; below that texts begin to repeat. A window
that sounds unsure is decoded again at full length.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from inference.values import SAMPLE_RATE_HZ, Waveform, Word

FRAMES_PER_S = 100
FULL_FRAMES = 3000
SHORTEST_FRAMES = 1500
BUCKET_FRAMES = 500
MARGIN_FRAMES = 200
"""Frames of nothing behind the sound, so that the decoder sees that it ends."""

LANGUAGE_SURE = 0.7
"""A language that is less likely than this after a look at the short window is looked for in the full one."""

# Below this mean log probability a text that the model itself takes for no speech is dropped (Radford et al. 2022,
# section 4.5); a text that compresses better than the ratio is a loop.
NO_SPEECH_PROBABILITY = 0.6
UNSURE_LOG_PROBABILITY = -1.0
LOOP_COMPRESSION_RATIO = 2.4
PROMPT_TOKENS = 200

_BEFORE_WORD = "\"'“¿([{-"
_AFTER_WORD = "\"'.。,，!！?？:：”)]}、"
_APART_S = 40
"""Windows are laid so far apart in time that the library takes each one's first word for one after a pause."""


@dataclasses.dataclass(frozen=True, slots=True)
class Manner:
    """How a window is decoded; windows of one manner can share a batch."""

    language: str
    task: str
    prompt: str
    hot_words: str


@dataclasses.dataclass(slots=True)
class DecodedWindow:
    """What was heard in one window: words with the space before them, times from the window's start."""

    words: list[Word]
    log_probability: float
    is_loop: bool
    is_silent: bool


class WhisperDecoder:
    """One loaded model.

    Args:
        folder: In CTranslate2 form.
        threads: On a CPU.
        device: ``cpu`` or ``cuda:N``.
        compute_type: Of CTranslate2.
        beam_size: Hypotheses kept while decoding.
        batch_windows: Windows of 30 s decoded together, or as many shorter ones as are as long.
    """

    def __init__(
        self, folder: Path, *, threads: int, device: str, compute_type: str, beam_size: int, batch_windows: int
    ) -> None:
        kind, _, index = device.partition(":")
        self._model = WhisperModel(
            str(folder),
            device=kind,
            device_index=int(index or 0),
            compute_type=compute_type,
            cpu_threads=threads,
            local_files_only=True,
        )
        self._beam_size = beam_size
        self._batch_frames = batch_windows * FULL_FRAMES
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes that the model was trained on."""
        return frozenset(self._model.supported_languages)

    @property
    def is_multilingual(self) -> bool:
        """Whether the model knows more than English, and can translate into it."""
        return bool(self._model.model.is_multilingual)

    def language_detect(self, sounds: Sequence[Waveform]) -> list[tuple[str, float]]:
        """Return the most likely language of each sound and its probability."""
        found = self._languages(sounds, [_frames_of(sound) for sound in sounds])
        unsure = [index for index, (_, probability) in enumerate(found) if probability < LANGUAGE_SURE]
        again = self._languages([sounds[index] for index in unsure], [FULL_FRAMES] * len(unsure))
        for index, one in zip(unsure, again, strict=True):
            found[index] = one
        return found

    def _languages(self, sounds: Sequence[Waveform], frames: Sequence[int]) -> list[tuple[str, float]]:
        found: list[tuple[str, float]] = [("", 0.0)] * len(sounds)
        for length, indices in _batches(frames, self._batch_frames):
            encoded = self._encoded([sounds[index] for index in indices], length)
            for index, ranked in zip(indices, self._model.model.detect_language(encoded), strict=True):
                token, probability = ranked[0]
                found[index] = (token[2:-2], float(probability))
        return found

    def decode(self, sounds: Sequence[Waveform], manner: Manner) -> list[DecodedWindow]:
        """Decode windows of at most 30 s; each gives the same alone as among others."""
        # Translation, the harder task, stays at the length that the model was trained on.
        is_short = manner.task == "transcribe"
        lengths = [_frames_of(sound) if is_short else FULL_FRAMES for sound in sounds]
        found = self._decoded(sounds, manner, lengths)
        unsure = [index for index, one in enumerate(found) if one.is_loop or _is_doubtful(one, lengths[index])]
        if unsure:
            again = self._decoded([sounds[index] for index in unsure], manner, [FULL_FRAMES] * len(unsure), ngrams=3)
            for index, one in zip(unsure, again, strict=True):
                found[index] = max(found[index], one, key=lambda each: (not each.is_loop, each.log_probability))
        return found

    def _decoded(
        self, sounds: Sequence[Waveform], manner: Manner, frames: Sequence[int], *, ngrams: int = 0
    ) -> list[DecodedWindow]:
        found: dict[int, DecodedWindow] = {}
        for length, indices in _batches(frames, self._batch_frames):
            batch = [sounds[index] for index in indices]
            found.update(zip(indices, self._batch_decoded(batch, manner, length, ngrams), strict=True))
        return [found[index] for index in range(len(sounds))]

    def _batch_decoded(
        self, sounds: Sequence[Waveform], manner: Manner, frames: int, ngrams: int
    ) -> Iterator[DecodedWindow]:
        tokenizer = self._tokenizer(manner)
        prompt = self._prompt(tokenizer, manner)
        encoded = self._encoded(sounds, frames)
        results = self._model.model.generate(
            encoded,
            [list(prompt) for _ in sounds],
            beam_size=self._beam_size,
            max_length=self._model.max_length,
            no_repeat_ngram_size=ngrams,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )
        texts = [[token for token in result.sequences_ids[0] if token < tokenizer.eot] for result in results]
        timed = self._timed(tokenizer, encoded, sounds, texts, frames)
        for result, tokens, words in zip(results, texts, timed, strict=True):
            length = len(result.sequences_ids[0])
            log_probability = float(result.scores[0]) * length / (length + 1)
            yield DecodedWindow(
                words=words,
                log_probability=log_probability,
                is_loop=_compression_ratio(tokenizer.decode(tokens)) > LOOP_COMPRESSION_RATIO,
                is_silent=result.no_speech_prob > NO_SPEECH_PROBABILITY and log_probability < UNSURE_LOG_PROBABILITY,
            )

    def _timed(
        self,
        tokenizer: Tokenizer,
        encoded: Any,
        sounds: Sequence[Waveform],
        texts: Sequence[Sequence[int]],
        frames: int,
    ) -> list[list[Word]]:
        segments: list[list[dict[str, Any]]] = [
            [
                {
                    "tokens": list(tokens),
                    "seek": index * _APART_S * FRAMES_PER_S,
                    "start": index * _APART_S,
                    "end": index * _APART_S + len(sound) / SAMPLE_RATE_HZ,
                }
            ]
            for index, (sound, tokens) in enumerate(zip(sounds, texts, strict=True))
        ]
        spoken = [min(frames, -(-len(sound) * FRAMES_PER_S // SAMPLE_RATE_HZ)) for sound in sounds]
        self._model.add_word_timestamps(segments, tokenizer, encoded, spoken, _BEFORE_WORD, _AFTER_WORD, -_APART_S)
        return [_words(segment["words"], segment["seek"] / FRAMES_PER_S) for (segment,) in segments]

    def _encoded(self, sounds: Sequence[Waveform], frames: int) -> Any:
        features = [pad_or_trim(self._model.feature_extractor(sound)[..., :-1], frames) for sound in sounds]
        return self._model.encode(np.stack(features))

    def _prompt(self, tokenizer: Tokenizer, manner: Manner) -> list[int]:
        before = tokenizer.encode(" " + manner.prompt.strip())[-PROMPT_TOKENS:] if manner.prompt.strip() else []
        prompt: list[int] = self._model.get_prompt(
            tokenizer, before, without_timestamps=True, hotwords=manner.hot_words or None
        )
        return prompt

    def _tokenizer(self, manner: Manner) -> Tokenizer:
        key = (manner.language, manner.task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._model.hf_tokenizer, self.is_multilingual, language=manner.language, task=manner.task
            )
        return self._tokenizers[key]


def _is_doubtful(decoded: DecodedWindow, frames: int) -> bool:
    return decoded.log_probability < UNSURE_LOG_PROBABILITY and frames < FULL_FRAMES


def _frames_of(sound: npt.NDArray[np.float32]) -> int:
    wanted = -(-len(sound) * FRAMES_PER_S // SAMPLE_RATE_HZ) + MARGIN_FRAMES
    return min(FULL_FRAMES, max(SHORTEST_FRAMES, -(-wanted // BUCKET_FRAMES) * BUCKET_FRAMES))


def _batches(frames: Sequence[int], batch_frames: int) -> Iterator[tuple[int, list[int]]]:
    """Yield (length, indices of the windows of that length), as many as the frames allow."""
    order = sorted(range(len(frames)), key=frames.__getitem__)
    for length, group in itertools.groupby(order, key=frames.__getitem__):
        indices = list(group)
        size = max(1, batch_frames // length)
        for start in range(0, len(indices), size):
            yield length, indices[start : start + size]


def _words(timed: Iterable[dict[str, Any]], offset_s: float) -> list[Word]:
    return [
        Word(
            text=one["word"],
            start_s=float(one["start"]) - offset_s,
            end_s=float(one["end"]) - offset_s,
            probability=float(one["probability"]),
        )
        for one in timed
        if one["word"].strip()
    ]


def _compression_ratio(text: str) -> float:
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 0.0
