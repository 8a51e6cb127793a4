"""Speech to text with a Whisper model in CTranslate2 form: only what the voice activity detector heard, batched."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from inference.errors import DamagedFile, EmptyInput, InputRejected, LimitExceeded
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.speech_window import SpeechWindow, clipped, pause_cut, speech_windows
from inference.preprocessing.utterance import utterances_split, words_whole
from inference.preprocessing.whisper_decoding import DecodedWindow, Manner, WhisperDecoder
from inference.values import SAMPLE_RATE_HZ, SpeechRequest, Transcript, Waveform, Word

ENGINE = "faster_whisper"
LONGEST_S = 30 * 60
LANGUAGE_WINDOWS = 4
LANGUAGE_SURE = 0.5
UNKNOWN_LANGUAGE = "und"
ENGLISH = "en"
UNPADDED = VadOptions(min_silence_duration_ms=100, speech_pad_ms=0)


@dataclasses.dataclass(slots=True)
class _Heard:
    index: int
    request: SpeechRequest
    windows: list[SpeechWindow]
    language: str
    probability: float

    @property
    def manner(self) -> Manner:
        return Manner(self.language, self.request.task, self.request.prompt, ", ".join(self.request.hot_words))

    @property
    def voiced_until_s(self) -> float:
        return self.windows[-1].stretches[-1][1] / SAMPLE_RATE_HZ if self.windows else 0.0

    @property
    def written_language(self) -> str:
        return ENGLISH if self.request.task == "translate" else self.language


class FasterWhisperRecognizer:
    """Transcribes with CTranslate2 behind Silero voice activity detection, windows of all requests together.

    Options:
        compute_type: Of CTranslate2; int8 on a CPU and float16 on a GPU where it is not given.
        beam_size: Hypotheses kept while decoding; 5.
        batch_windows: Windows of 30 s decoded together, or as many shorter ones; 4 on a CPU, 16 on a GPU.
        language: ISO 639-1 code for requests that state none; detected in each where it is not given.
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
        chosen = dict(options or {})
        on_cpu = device.partition(":")[0] == "cpu"
        compute_type = str(chosen.pop("compute_type", "int8" if on_cpu else "float16"))
        beam_size = int(chosen.pop("beam_size", 5))
        batch_windows = int(chosen.pop("batch_windows", 4 if on_cpu else 16))
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
            self._decoder = WhisperDecoder(
                folder,
                threads=threads,
                device=device,
                compute_type=compute_type,
                beam_size=beam_size,
                batch_windows=batch_windows,
            )
        self._vad = VadOptions(min_silence_duration_ms=160, max_speech_duration_s=30)

    def transcribe(self, batch: Sequence[Waveform | SpeechRequest]) -> Sequence[Transcript]:
        """Transcribe waveforms of up to 30 minutes each; silence gives a transcript without utterances.

        Windows of all requests that want the same are decoded together, each for itself.
        """
        requests = [self._request(index, item) for index, item in enumerate(batch)]
        with library_errors(ENGINE, f"transcribing {len(batch)} waveforms"):
            heard = [self._hear(index, request) for index, request in enumerate(requests)]
            self._languages_find([entry for entry in heard if entry.windows and not entry.language])
            words: dict[int, list[Word]] = {entry.index: [] for entry in heard}
            voiced = sorted(
                (entry for entry in heard if entry.windows), key=lambda entry: dataclasses.astuple(entry.manner)
            )
            for manner, group in itertools.groupby(voiced, key=lambda entry: entry.manner):
                self._words_add(words, manner, list(group))
        return [
            Transcript(
                utterances=utterances_split(words[entry.index], entry.written_language),
                language=entry.language or UNKNOWN_LANGUAGE,
                language_probability=entry.probability,
                voiced_until_s=entry.voiced_until_s,
            )
            for entry in heard
        ]

    def _request(self, index: int, item: Waveform | SpeechRequest) -> SpeechRequest:
        request = item if isinstance(item, SpeechRequest) else SpeechRequest(waveform=item)
        _check(index, request.waveform)
        if max(request.shared_start_s, request.shared_end_s) > request.waveform.size / SAMPLE_RATE_HZ:
            raise InputRejected(f"request {index} shares more with its neighbours than it has")
        language = request.language or self._language
        if language is not None and language not in self._decoder.languages:
            raise InputRejected(
                f"request {index} is in language '{language}', which the model does not know; it knows "
                f"{', '.join(sorted(self._decoder.languages))}"
            )
        if request.task == "translate" and not self._decoder.is_multilingual:
            raise InputRejected(
                f"request {index} wants a translation, but the model knows only English; serve the role with a "
                "multilingual model"
            )
        return dataclasses.replace(request, language=language)

    def _hear(self, index: int, request: SpeechRequest) -> _Heard:
        stretches = clipped(_voiced(request.waveform, self._vad), *_own_samples(request))
        windows = speech_windows(request.waveform, stretches)
        if not windows:
            return _Heard(index, request, [], "", 0.0)
        if request.language is not None:
            return _Heard(index, request, windows, request.language, 1.0)
        if not self._decoder.is_multilingual:
            return _Heard(index, request, windows, ENGLISH, 1.0)
        return _Heard(index, request, windows, "", 0.0)

    def _languages_find(self, unknown: Sequence[_Heard]) -> None:
        for entry, (language, probability) in zip(
            unknown, self._decoder.language_detect([entry.windows[0].sound for entry in unknown]), strict=True
        ):
            entry.language, entry.probability = language, probability
            if probability < LANGUAGE_SURE and len(entry.windows) > 1:
                sounds = [window.sound for window in entry.windows[1:LANGUAGE_WINDOWS]]
                votes = [(language, probability), *self._decoder.language_detect(sounds)]
                entry.language, entry.probability = _elected(votes)

    def _words_add(self, words: dict[int, list[Word]], manner: Manner, group: Sequence[_Heard]) -> None:
        placed = [(entry, window) for entry in group for window in entry.windows]
        decoded = self._decoder.decode([window.sound for _, window in placed], manner)
        for (entry, window), found in zip(placed, decoded, strict=True):
            words[entry.index] += words_whole(_pieces_of(found, window), entry.written_language)


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


def _voiced(sound: Waveform, options: VadOptions) -> list[tuple[int, int]]:
    return [(entry["start"], entry["end"]) for entry in get_speech_timestamps(sound, options)]


def _own_samples(request: SpeechRequest) -> tuple[int, int]:
    """Return the samples that this window, and not its neighbours, has to transcribe."""
    sound = request.waveform
    start, end = (round(shared_s * SAMPLE_RATE_HZ) for shared_s in (request.shared_start_s, request.shared_end_s))
    # Only what both windows have is looked at, so that both find the same pause.
    first = pause_cut(sound[:start], _voiced(sound[:start], UNPADDED)) if start else 0
    last = len(sound) - end + pause_cut(sound[-end:], _voiced(sound[-end:], UNPADDED)) if end else len(sound)
    return first, last


def _elected(votes: Sequence[tuple[str, float]]) -> tuple[str, float]:
    sums: dict[str, float] = {}
    for language, probability in votes:
        sums[language] = sums.get(language, 0.0) + probability
    best = max(sums, key=sums.__getitem__)
    return best, max(probability for language, probability in votes if language == best)


def _pieces_of(decoded: DecodedWindow, window: SpeechWindow) -> Iterable[Word]:
    if decoded.is_silent:
        return
    for word in decoded.words:
        start_s, end_s = window.original_span(word.start_s, word.end_s)
        yield Word(
            text=word.text, start_s=round(start_s, 3), end_s=round(end_s, 3), probability=round(word.probability, 4)
        )
