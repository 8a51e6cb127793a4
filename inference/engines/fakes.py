"""Fake engines: small second implementations without models that tell inputs apart, for tests and development.

They read what their own writers write: ``fake_sound`` makes words into tones, ``fake_page`` makes lines into pixels.
Everything else goes through them as through a real engine: silence has no words, a blank page no lines, similar texts
have near vectors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import ContextOverflow, DamagedFile, EmptyInput, InputRejected
from inference.preprocessing.speech_window import pause_cut
from inference.preprocessing.utterance import utterances_split
from inference.values import (
    SAMPLE_RATE_HZ,
    Box,
    ChatDelta,
    ChatMessage,
    ChatRequest,
    LayoutRegion,
    PageReading,
    PictureDescription,
    PictureFact,
    PictureToDescribe,
    RgbImage,
    SpeechRequest,
    TextLine,
    Transcript,
    Vectors,
    VoiceRequest,
    VoiceVectors,
    Waveform,
    Word,
)

DIMENSIONS = 64
TRIGRAM_DIMENSIONS = 96

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?"
TONE_S = 0.05
FIRST_TONE_HZ = 400
TONE_STEP_HZ = 60
FIRST_VOICE_HZ = 4000
VOICE_STEP_HZ = 400
VOICES = 8
PAUSE_S = 1.0
FAKE_LANGUAGES = ("en", "de")

LINE_PX = 10
INK_PX = 8

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (40, 60, 220),
    "yellow": (240, 220, 40),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
}


def fake_sound(text: str, *, voice: int = 0) -> Waveform:
    """Say words as tones: one per letter, a gap between words, a pause after a full stop; ``voice`` hums above them."""
    gap = np.zeros(round(TONE_S * SAMPLE_RATE_HZ), np.float32)
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces: list[Waveform] = []
    for word in text.lower().split():
        pieces.extend(_tone(letter, voice) for letter in word if letter in LETTERS)
        pieces.append(pause if word.endswith(".") else gap)
    return np.concatenate(pieces) if pieces else pause


def fake_page(lines: Sequence[str]) -> RgbImage:
    """Draw lines as pixels: a black mark, then each ASCII letter as a column of bits."""
    width_px = max((len(line) for line in lines), default=0) + 2
    page = np.full((LINE_PX * max(len(lines), 1), width_px, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        codes = np.array([0xFF, *line.encode("ascii")], np.uint8)
        bits = np.unpackbits(codes[None, :], axis=0).astype(bool)
        page[number * LINE_PX : number * LINE_PX + INK_PX, : len(codes)][bits] = 0
    return page


class _Fake:
    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        threads: int = 1,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if options:
            raise InputRejected(f"{type(self).__name__} takes no options, not {sorted(options)}")
        self.loaded_with = {"folders": tuple(folders), "threads": threads, "device": device}


class FakeTextEmbedder(_Fake):
    """A bag of words, each word a fixed random direction: texts that share words are near."""

    dimensions = DIMENSIONS

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own."""
        return _bags(batch)


class FakeTrigramEmbedder(_Fake):
    """A bag of three-letter pieces: another model than ``FakeTextEmbedder``, with other dimensions and neighbours."""

    dimensions = TRIGRAM_DIMENSIONS

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own."""
        return _bags(batch, _trigrams, TRIGRAM_DIMENSIONS)


class FakeImageTextEmbedder(_Fake):
    """Pictures as bags of the names of their colours, in the space of ``FakeTextEmbedder``."""

    dimensions = DIMENSIONS

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """Embed each picture by its colours."""
        return _bags([" ".join(_colours(image, index)) for index, image in enumerate(batch)])

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each query."""
        return _bags(batch)


class FakeSpeechRecognizer(_Fake):
    """Reads the tones of ``fake_sound``; other sound is no speech. What it translates it writes in capitals."""

    def transcribe(self, batch: Sequence[Waveform | SpeechRequest]) -> Sequence[Transcript]:
        """Transcribe each waveform."""
        requests = [item if isinstance(item, SpeechRequest) else SpeechRequest(waveform=item) for item in batch]
        for index, request in enumerate(requests):
            _sound_check(index, request.waveform)
            if request.language not in (None, *FAKE_LANGUAGES):
                raise InputRejected(
                    f"request {index} is in language '{request.language}'; known are {', '.join(FAKE_LANGUAGES)}"
                )
        return [self._transcript(request) for request in requests]

    def _transcript(self, request: SpeechRequest) -> Transcript:
        words = [word for word in _heard_words(request.waveform) if _is_own(word, request)]
        if request.task == "translate":
            words = [dataclasses.replace(word, text=word.text.upper()) for word in words]
        language = request.language or FAKE_LANGUAGES[0]
        return Transcript(
            utterances=utterances_split(words, language),
            language=language if words else "und",
            language_probability=1.0 if words else 0.0,
            voiced_until_s=words[-1].end_s if words else 0.0,
        )


class FakeSpeakerEncoder(_Fake):
    """Tells the voices of ``fake_sound`` by their hum."""

    dimensions = VOICES

    def embed_voices(self, batch: Sequence[VoiceRequest]) -> Sequence[VoiceVectors]:
        """Encode every span; one below 0.4 s or without sound gives zeros."""
        for index, request in enumerate(batch):
            _sound_check(index, request.waveform)
            if not request.spans:
                raise EmptyInput(f"request {index} has no spans")
            limit_s = request.waveform.size / SAMPLE_RATE_HZ + 0.1
            if not all(0 <= start_s < end_s <= limit_s for start_s, end_s in request.spans):
                raise InputRejected(f"a span of request {index} does not lie in its {limit_s:.1f} s")
        return [
            VoiceVectors(vectors=np.stack([_hum(request.waveform, span) for span in request.spans]))
            for request in batch
        ]

    def cluster_voices(self, batch: Sequence[VoiceVectors]) -> Sequence[tuple[int, ...]]:
        """Number the speakers by first appearance; a span without a vector joins the one before."""
        return [self._speakers(item) for item in batch]

    def _speakers(self, item: VoiceVectors) -> tuple[int, ...]:
        seen: list[Vectors] = []
        labels: list[int] = []
        for vector in item.vectors:
            near = [number for number, other in enumerate(seen) if float(vector @ other) > 0.8]
            if not vector.any():
                near = labels[-1:] or [0]
            elif not near and len(seen) == item.speakers:
                near = [int(np.argmax([float(vector @ other) for other in seen]))]
            elif not near:
                seen.append(vector)
                near = [len(seen) - 1]
            labels.append(near[0])
        return tuple(labels)


class FakeTextRecognizer(_Fake):
    """Reads the pixels of ``fake_page``, however the page is turned."""

    def read(self, batch: Sequence[RgbImage]) -> Sequence[PageReading]:
        """Read each picture; one that ``fake_page`` did not draw has no lines."""
        for index, image in enumerate(batch):
            _picture_check(index, image)
        return [self._reading(image) for image in batch]

    def _reading(self, image: RgbImage) -> PageReading:
        for turns in range(4):
            lines = _pixel_lines(np.rot90(image, -turns))
            if lines:
                placed = [TextLine(text=text, box=_turned_back(box, turns), confidence=1.0) for text, box in lines]
                return PageReading(lines=tuple(placed), rotation_deg=90 * turns)
        return PageReading(lines=())


class FakeLayoutDetector(_Fake):
    """Finds the stretches of rows that are not blank: text where they are grey, a figure where they have colour."""

    def detect(self, batch: Sequence[RgbImage]) -> Sequence[tuple[LayoutRegion, ...]]:
        """Find the regions of each page, the largest first."""
        for index, image in enumerate(batch):
            _picture_check(index, image)
        return [self._regions(image) for image in batch]

    def _regions(self, image: RgbImage) -> tuple[LayoutRegion, ...]:
        inked = np.flatnonzero((image < 250).any(axis=(1, 2)))
        stretches = np.split(inked, np.flatnonzero(np.diff(inked) > LINE_PX) + 1) if len(inked) else []
        regions = [_region(image, int(rows[0]), int(rows[-1]) + 1) for rows in stretches]
        return tuple(sorted(regions, key=lambda region: -region.confidence))


class FakeVisionDescriber(_Fake):
    """Names the colours of a picture and repeats its lines."""

    def describe(self, batch: Sequence[PictureToDescribe]) -> Sequence[PictureDescription]:
        """Describe each picture."""
        return [self._description(index, item) for index, item in enumerate(batch)]

    def _description(self, index: int, item: PictureToDescribe) -> PictureDescription:
        colours = _colours(item.image, index)
        facts = tuple(PictureFact(name="colour", value=colour, confidence=1.0) for colour in colours)
        text = " ".join(line.text for line in item.lines)
        asked = f"Asked: {item.question} " if item.question else ""
        caption = f"{asked}A fake description of a picture in {' and '.join(colours)}."
        return PictureDescription(
            caption=f"{caption} Text: {text}" if text else caption, facts=facts, engine="fake_vision"
        )


class FakeReranker(_Fake):
    """Scores a pair by the share of the query's words that the passage has."""

    def score(self, batch: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Score each pair."""
        scores = []
        for index, (query, passage) in enumerate(batch):
            wanted = set(_words(query))
            if not wanted or not passage.strip():
                raise EmptyInput(f"pair {index} has an empty query or passage")
            scores.append(len(wanted & set(_words(passage))) / len(wanted))
        return scores


class FakeLanguageModel(_Fake):
    """Answers with the sentence of the first source, marked ``[1]`` in the prompt, that shares most with the question.

    A token is a word with the space before it.
    """

    context_tokens = 512

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer word by word; closing the iterator ends it."""
        prompt_tokens = len(self.prompt_token_ids(request.messages))
        if prompt_tokens + request.max_tokens > self.context_tokens:
            raise ContextOverflow(
                f"the prompt has {prompt_tokens} tokens and {request.max_tokens} are to be made; the window holds "
                f"{self.context_tokens}"
            )
        return self._stream(request, prompt_tokens)

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """Count the tokens of each text."""
        return [len(_pieces(text)) for text in batch]

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return one id per word of the conversation and one per turn."""
        if not messages:
            raise EmptyInput("a conversation has at least one message")
        pieces = (piece for message in messages for piece in (f"<{message.role}>", *_pieces(message.content)))
        return [int.from_bytes(hashlib.sha256(piece.encode()).digest()[:4], "big") for piece in pieces]

    def _stream(self, request: ChatRequest, prompt_tokens: int) -> Iterator[ChatDelta]:
        answer = _answer(request.messages[-1].content)
        if request.json_schema is not None:
            answer = json.dumps(dict.fromkeys(request.json_schema.get("properties", {"answer": {}}), answer))
        for stop in request.stop:
            answer = answer.split(stop)[0]
        pieces = _pieces(answer)
        for piece in pieces[: request.max_tokens]:
            yield ChatDelta(text=piece)
        yield ChatDelta(
            text="",
            finish_reason="stop" if len(pieces) <= request.max_tokens else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=min(len(pieces), request.max_tokens),
        )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _answer(prompt: str) -> str:
    before, _, question = prompt.rpartition("Question:")
    asked = set(_words(question))
    source = re.search(r"\[1\]\s*(.*?)(?=\n\s*\[2\]|\Z)", before or prompt, re.DOTALL)
    if source is None:
        return "The fake model was given no source."
    sentences = re.split(r"(?<=[.!?])\s+|\n+", source[1].strip())
    return max(sentences, key=lambda sentence: len(asked & set(_words(sentence))))


def _bags(
    batch: Sequence[str], pieces: Callable[[str], Sequence[str]] | None = None, dimensions: int = DIMENSIONS
) -> Vectors:
    rows = []
    for index, text in enumerate(batch):
        words = (pieces or _words)(text)
        if not text.strip():
            raise EmptyInput(f"text {index} is empty")
        bag = np.sum([_direction(word, dimensions) for word in words or [text]], axis=0)
        rows.append(bag / np.linalg.norm(bag))
    return np.asarray(rows, dtype=np.float32)


def _trigrams(text: str) -> list[str]:
    whole = f" {' '.join(_words(text))} "
    return [whole[start : start + 3] for start in range(len(whole) - 2)]


def _direction(word: str, dimensions: int) -> npt.NDArray[np.float64]:
    # A lone surrogate is a letter like any other here.
    seed = int.from_bytes(hashlib.sha256(word.encode(errors="surrogatepass")).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimensions)


def _picture_check(index: int, image: RgbImage) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputRejected(
            f"picture {index} is {image.dtype} of shape {image.shape}; wanted is uint8 of (height, width, 3)"
        )
    if image.size == 0:
        raise EmptyInput(f"picture {index} has no pixels")


def _colours(image: RgbImage, index: int) -> list[str]:
    """Return the names of the colours that fill at least a tenth of a picture, the largest first."""
    _picture_check(index, image)
    palette = np.array(list(COLOURS.values()))
    distances = np.linalg.norm(image.reshape(-1, 1, 3).astype(float) - palette, axis=2)
    counts = Counter(distances.argmin(axis=1).tolist())
    names = list(COLOURS)
    return [names[colour] for colour, count in counts.most_common() if count * 10 >= image.shape[0] * image.shape[1]]


def _region(image: RgbImage, top: int, bottom: int) -> LayoutRegion:
    rows = image[top:bottom].astype(int)
    columns = np.flatnonzero((rows < 250).any(axis=(0, 2)))
    coloured = (rows.max(axis=2) - rows.min(axis=2)).max() > 40
    height_px, width_px = image.shape[:2]
    box = Box(
        x0=int(columns[0]) / width_px,
        y0=top / height_px,
        x1=(int(columns[-1]) + 1) / width_px,
        y1=bottom / height_px,
    )
    return LayoutRegion(label="figure" if coloured else "text", box=box, confidence=(bottom - top) / height_px)


def _pixel_lines(image: RgbImage) -> list[tuple[str, Box]]:
    height_px, width_px = image.shape[:2]
    black = image.max(axis=2) < 128
    found = []
    for top in range(0, height_px - INK_PX + 1, LINE_PX):
        codes = np.packbits(black[top : top + INK_PX], axis=0)[0]
        end = next((column for column, code in enumerate(codes) if code == 0), width_px)
        letters = bytes(codes[1:end].tolist())
        if codes[0] == 0xFF and letters and all(32 <= letter < 127 for letter in letters):
            box = Box(x0=0.0, y0=top / height_px, x1=end / width_px, y1=(top + INK_PX) / height_px)
            found.append((letters.decode("ascii"), box))
    return found


def _turned_back(box: Box, turns: int) -> Box:
    for _ in range(turns):
        box = Box(x0=box.y0, y0=1 - box.x1, x1=box.y1, y1=1 - box.x0)
    return box


def _tone(letter: str, voice: int) -> Waveform:
    times_s = np.arange(round(TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    letter_hz = FIRST_TONE_HZ + TONE_STEP_HZ * LETTERS.index(letter)
    hum_hz = FIRST_VOICE_HZ + VOICE_STEP_HZ * (voice % VOICES)
    tone = 0.5 * np.sin(2 * np.pi * letter_hz * times_s) + 0.2 * np.sin(2 * np.pi * hum_hz * times_s)
    return tone.astype(np.float32)


def _sound_check(index: int, waveform: Waveform) -> None:
    if waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InputRejected(
            f"waveform {index} is {waveform.dtype} of shape {waveform.shape}; wanted is mono float32 of 16,000 Hz"
        )
    if waveform.size == 0:
        raise EmptyInput(f"waveform {index} has no samples")
    if not np.isfinite(waveform).all():
        raise DamagedFile(f"waveform {index} has samples that are not numbers")


def _heard_words(waveform: Waveform) -> Iterator[Word]:
    frame = round(TONE_S * SAMPLE_RATE_HZ)
    sounding = np.flatnonzero(waveform)
    # A sine begins at zero, so that the first sample that sounds is the second of its tone.
    first = (int(sounding[0]) - 1) % frame if len(sounding) else 0
    starts = range(first, len(waveform) - frame + 1, frame)
    letters = [_heard_letter(waveform[start : start + frame]) for start in starts]
    for heard, group in itertools.groupby(enumerate(letters), key=lambda entry: entry[1] is not None):
        if not heard:
            continue
        run = list(group)
        yield Word(
            text="".join(str(letter) for _, letter in run),
            start_s=round(first / SAMPLE_RATE_HZ + run[0][0] * TONE_S, 3),
            end_s=round(first / SAMPLE_RATE_HZ + (run[-1][0] + 1) * TONE_S, 3),
            probability=1.0,
        )


def _is_own(word: Word, request: SpeechRequest) -> bool:
    start, end = (round(shared_s * SAMPLE_RATE_HZ) for shared_s in (request.shared_start_s, request.shared_end_s))
    sound = request.waveform
    first = pause_cut(sound[:start], _sounding(sound[:start])) if start else 0
    last = len(sound) - end + pause_cut(sound[-end:], _sounding(sound[-end:])) if end else len(sound)
    return first <= (word.start_s + word.end_s) / 2 * SAMPLE_RATE_HZ < last


def _sounding(sound: Waveform) -> list[tuple[int, int]]:
    return [(round(word.start_s * SAMPLE_RATE_HZ), round(word.end_s * SAMPLE_RATE_HZ)) for word in _heard_words(sound)]


def _heard_letter(frame: Waveform) -> str | None:
    spectrum = np.abs(np.fft.rfft(frame))
    bin_hz = SAMPLE_RATE_HZ / len(frame)
    speech = spectrum[: int(FIRST_VOICE_HZ / bin_hz) - 5]
    if speech.max() < 0.2 * len(frame):
        return None
    index = round((int(speech.argmax()) * bin_hz - FIRST_TONE_HZ) / TONE_STEP_HZ)
    return LETTERS[index] if 0 <= index < len(LETTERS) else None


def _hum(waveform: Waveform, span: tuple[float, float]) -> Vectors:
    first, end = (round(time_s * SAMPLE_RATE_HZ) for time_s in span)
    sound = waveform[first:end]
    nothing: Vectors = np.zeros(VOICES, np.float32)
    if len(sound) < 0.4 * SAMPLE_RATE_HZ or not sound.any():
        return nothing
    power = np.abs(np.fft.rfft(sound)) ** 2
    bin_hz = SAMPLE_RATE_HZ / len(sound)
    edges_hz = FIRST_VOICE_HZ - VOICE_STEP_HZ / 2 + VOICE_STEP_HZ * np.arange(VOICES + 1)
    bins = (edges_hz / bin_hz).astype(int)
    vector = np.array([power[low:high].sum() for low, high in itertools.pairwise(bins)])
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
