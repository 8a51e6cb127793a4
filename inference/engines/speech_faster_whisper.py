"""Speech to text with a Whisper model in CTranslate2 form: only what the voice activity detector heard, batched."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.vad import VadOptions, get_speech_timestamps

from inference.errors import DamagedFile, EmptyInput, InputRejected, LimitExceeded
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.speech_window import SpeechWindow, speech_windows
from inference.preprocessing.utterance import utterances_split, words_whole
from inference.values import SAMPLE_RATE_HZ, Transcript, Waveform, Word

ENGINE = "faster_whisper"
LONGEST_S = 30 * 60
LANGUAGE_WINDOWS = 4
UNKNOWN_LANGUAGE = "und"

# Below this mean log probability a segment that the model itself takes for no speech is dropped (Radford et al. 2022,
# section 4.5); a text that compresses better than the ratio is a loop.
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOG_PROBABILITY = -1.0
LOOP_COMPRESSION_RATIO = 2.4


@dataclasses.dataclass(frozen=True, slots=True)
class _Heard:
    index: int
    windows: list[SpeechWindow]
    language: str
    probability: float


class FasterWhisperRecognizer:
    """Transcribes with faster-whisper's batched pipeline behind Silero voice activity detection.

    Options:
        compute_type: Of CTranslate2; int8 on a CPU and float16 on a GPU where it is not given.
        beam_size: Hypotheses kept while decoding; 5.
        batch_windows: Windows of 30 s decoded together; 4 on a CPU, 16 on a GPU.
        language: ISO 639-1 code; detected in each waveform where it is not given.
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
        chosen = dict(options or {})
        kind, _, index = device.partition(":")
        compute_type = str(chosen.pop("compute_type", "int8" if kind == "cpu" else "float16"))
        self._beam_size = int(chosen.pop("beam_size", 5))
        self._batch_windows = int(chosen.pop("batch_windows", 4 if kind == "cpu" else 16))
        self._language: str | None = chosen.pop("language", None)
        if chosen:
            raise InputRejected(
                f"{ENGINE} does not know the options {sorted(chosen)}; it knows compute_type, beam_size, "
                "batch_windows and language"
            )
        folder = folders[0]
        if not (folder / "model.bin").is_file():
            # faster-whisper takes a name that is no folder for a model to download.
            raise InputRejected(f"there is no Whisper model in '{folder}'; fetch the models first")
        with library_errors(ENGINE, f"loading {folder}"):
            self._model = WhisperModel(
                str(folder),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute_type,
                cpu_threads=threads,
                local_files_only=True,
            )
            self._pipeline = BatchedInferencePipeline(self._model)
        self._vad = VadOptions(min_silence_duration_ms=160, max_speech_duration_s=30)

    def transcribe(self, batch: Sequence[Waveform]) -> Sequence[Transcript]:
        """Transcribe waveforms of up to 30 minutes each; silence gives a transcript without utterances.

        Windows of all waveforms of one language are decoded together, each for itself.
        """
        for index, waveform in enumerate(batch):
            _check(index, waveform)
        with library_errors(ENGINE, f"transcribing {len(batch)} waveforms"):
            heard = [self._hear(index, waveform) for index, waveform in enumerate(batch)]
            words: dict[int, list[Word]] = {entry.index: [] for entry in heard}
            voiced = sorted((entry for entry in heard if entry.windows), key=lambda entry: entry.language)
            for language, group in itertools.groupby(voiced, key=lambda entry: entry.language):
                for index, word in self._words(language, list(group)):
                    words[index].append(word)
        return [
            Transcript(
                utterances=utterances_split(words[entry.index], entry.language),
                language=entry.language,
                language_probability=entry.probability,
            )
            for entry in heard
        ]

    def _hear(self, index: int, waveform: Waveform) -> _Heard:
        stretches = [(entry["start"], entry["end"]) for entry in get_speech_timestamps(waveform, self._vad)]
        windows = speech_windows(waveform, stretches)
        if not windows:
            return _Heard(index, [], UNKNOWN_LANGUAGE, 0.0)
        if self._language is not None:
            return _Heard(index, windows, self._language, 1.0)
        if not self._model.model.is_multilingual:
            return _Heard(index, windows, "en", 1.0)
        sound = np.concatenate([window.sound for window in windows[:LANGUAGE_WINDOWS]])
        language, probability, _ = self._model.detect_language(
            sound, language_detection_segments=LANGUAGE_WINDOWS, language_detection_threshold=0.5
        )
        return _Heard(index, windows, language, float(probability))

    def _words(self, language: str, group: Sequence[_Heard]) -> Iterator[tuple[int, Word]]:
        placed = [(entry.index, window) for entry in group for window in entry.windows]
        sounds = [window.sound for _, window in placed]
        for (index, window), segments in zip(placed, self._decoded(language, sounds), strict=True):
            for segment in segments:
                yield from ((index, word) for word in words_whole(_pieces_of(segment, window), language))

    def _decoded(self, language: str, sounds: Sequence[Waveform]) -> list[list[Any]]:
        found = self._decode(language, sounds)
        for position, segments in enumerate(found):
            if any(segment.compression_ratio > LOOP_COMPRESSION_RATIO for segment in segments):
                found[position] = self._decode(language, [sounds[position]], no_repeat_ngram_size=3)[0]
        return found

    def _decode(self, language: str, sounds: Sequence[Waveform], **settings: Any) -> list[list[Any]]:
        ends_s = list(itertools.accumulate(len(sound) / SAMPLE_RATE_HZ for sound in sounds))
        starts_s = [0.0, *ends_s[:-1]]
        segments, _ = self._pipeline.transcribe(
            np.concatenate(sounds),
            language=language,
            beam_size=self._beam_size,
            batch_size=self._batch_windows,
            word_timestamps=True,
            clip_timestamps=[{"start": start, "end": end} for start, end in zip(starts_s, ends_s, strict=True)],
            **settings,
        )
        found: list[list[Any]] = [[] for _ in sounds]
        for segment in segments:
            middle_s = (segment.start + segment.end) / 2
            position = next((i for i, end_s in enumerate(ends_s) if middle_s < end_s), len(sounds) - 1)
            found[position].append(_shifted(segment, -starts_s[position]))
        return found


def _check(index: int, waveform: Waveform) -> None:
    if waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InputRejected(
            f"waveform {index} is {waveform.dtype} of shape {waveform.shape}; wanted is mono float32 of 16,000 Hz"
        )
    if waveform.size == 0:
        raise EmptyInput(f"waveform {index} has no samples")
    if waveform.size > LONGEST_S * SAMPLE_RATE_HZ:
        raise LimitExceeded(
            f"waveform {index} lasts {waveform.size / SAMPLE_RATE_HZ:.0f} s; the limit is {LONGEST_S} s, split it"
        )
    if not np.isfinite(waveform).all():
        raise DamagedFile(f"waveform {index} has samples that are not numbers")


def _shifted(segment: Any, shift_s: float) -> Any:
    words = [
        dataclasses.replace(word, start=word.start + shift_s, end=word.end + shift_s) for word in segment.words or []
    ]
    return dataclasses.replace(segment, start=segment.start + shift_s, end=segment.end + shift_s, words=words)


def _pieces_of(segment: Any, window: SpeechWindow) -> Iterable[Word]:
    if segment.no_speech_prob > NO_SPEECH_PROBABILITY and segment.avg_logprob < NO_SPEECH_LOG_PROBABILITY:
        return
    for word in segment.words:
        if word.word.strip():
            start_s, end_s = window.original_span(word.start, word.end)
            yield Word(
                text=word.word,
                start_s=round(start_s, 3),
                end_s=round(end_s, 3),
                probability=round(float(word.probability), 4),
            )
