"""Names of roles and engines: which protocol a role has, and which class serves a name; imports only when asked."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from inference import protocols
from inference.errors import EngineUnavailable, InputRejected


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How one method of a protocol is called across a process boundary.

    Attributes:
        name: Name in the protocol.
        kind: ``batch`` (a sequence in, one result per item out: requests may be merged), ``single`` (one argument, one
            result) or ``stream`` (one argument, an iterator of results).
        returns: ``rows`` when the results of a batch are the rows of one array, else ``items``.
    """

    name: str
    kind: Literal["batch", "single", "stream"] = "batch"
    returns: Literal["items", "rows"] = "items"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a role can do.

    Attributes:
        protocol: The class in ``inference.protocols`` that its engines satisfy.
        methods: By name.
        attributes: Plain values that an engine publishes beside its methods.
    """

    protocol: type
    methods: Mapping[str, Method]
    attributes: tuple[str, ...] = ("recipe_version",)


def _role(protocol: type, *methods: Method, attributes: tuple[str, ...] = ()) -> Role:
    return Role(
        protocol=protocol,
        methods={method.name: method for method in methods},
        attributes=("recipe_version", *attributes),
    )


_TEXT = _role(protocols.TextEmbedder, Method(name="embed_texts", returns="rows"), attributes=("dimensions",))
_IMAGE_TEXT = _role(
    protocols.ImageTextEmbedder,
    Method(name="embed_images", returns="rows"),
    Method(name="embed_texts", returns="rows"),
    attributes=("dimensions",),
)

ROLES: Mapping[str, Role] = {
    "speech": _role(protocols.SpeechRecognizer, Method(name="transcribe")),
    # Live captions want a model that is fast rather than exact.
    "captions": _role(protocols.SpeechRecognizer, Method(name="transcribe")),
    "speaker": _role(
        protocols.SpeakerEncoder,
        Method(name="embed_voices"),
        Method(name="cluster_voices"),
        attributes=("dimensions",),
    ),
    "ocr": _role(protocols.TextRecognizer, Method(name="read")),
    "layout": _role(protocols.LayoutDetector, Method(name="detect")),
    "text": _TEXT,
    "image_text": _IMAGE_TEXT,
    # A model that is to follow embeds beside the one in use until its space is filled and switched to.
    "text_next": _TEXT,
    "image_text_next": _IMAGE_TEXT,
    "vision": _role(protocols.VisionDescriber, Method(name="describe")),
    "reranker": _role(protocols.Reranker, Method(name="score")),
    "language": _role(
        protocols.LanguageModel,
        Method(name="generate", kind="stream"),
        Method(name="count_tokens"),
        Method(name="prompt_token_ids", kind="single"),
        attributes=("context_tokens",),
    ),
}

ENGINES: Mapping[str, str] = {
    "faster_whisper": "speech_faster_whisper:FasterWhisperRecognizer",
    "ge2e": "speaker_ge2e:Ge2eSpeakerEncoder",
    "rapidocr": "ocr_rapidocr:RapidOcrRecognizer",
    "rapid_layout": "layout_rapid_layout:RapidLayoutDetector",
    "sentence_transformers": "text_sentence_transformers:SentenceTransformersEmbedder",
    "sentence_onnx": "text_onnx:OnnxSentenceEmbedder",
    "open_clip": "image_text_open_clip:OpenClipEmbedder",
    "conse": "image_text_conse:ConseEmbedder",
    "conse_documents": "image_text_conse:ConseDocumentsEmbedder",
    "vision_transformers": "vision_transformers:TransformersDescriber",
    "composed_describer": "vision_composed:ComposedDescriber",
    "cross_encoder": "rerank_cross_encoder:CrossEncoderReranker",
    "llama_server": "language_llama_server:LlamaServerModel",
    "llama_cpp": "language_llama_cpp:LlamaCppModel",
    "openai_local": "language_openai_local:OpenAiLocalModel",
    "fake_speech": "fakes:FakeSpeechRecognizer",
    "fake_speaker": "fakes:FakeSpeakerEncoder",
    "fake_ocr": "fakes:FakeTextRecognizer",
    "fake_layout": "fakes:FakeLayoutDetector",
    "fake_text": "fakes:FakeTextEmbedder",
    "fake_trigrams": "fakes:FakeTrigramEmbedder",
    "fake_hungry": "fakes_failing:FakeHungryEmbedder",
    "fake_aborting": "fakes_failing:FakeAbortingEmbedder",
    "fake_image_text": "fakes:FakeImageTextEmbedder",
    "fake_vision": "fakes:FakeVisionDescriber",
    "fake_reranker": "fakes:FakeReranker",
    "fake_language": "fakes:FakeLanguageModel",
}
"""Engine name to ``module:Class`` below ``inference.engines``."""


def engine_class(name: str) -> type:
    """Return the class of an engine, importing its module and the library behind it.

    Raises:
        InputRejected: No engine has this name.
        EngineUnavailable: The library behind it is not installed.
    """
    if name not in ENGINES:
        raise InputRejected(f"there is no engine '{name}'; known are {', '.join(sorted(ENGINES))}")
    module_name, _, class_name = ENGINES[name].partition(":")
    try:
        module = importlib.import_module(f"inference.engines.{module_name}")
    except ImportError as error:
        raise EngineUnavailable(f"engine '{name}' cannot be imported: {error}; install its library") from error
    found: type = getattr(module, class_name)
    return found


def engine_load(
    name: str,
    folders: Sequence[Path],
    *,
    threads: int,
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Construct an engine, which loads its models from ``folders`` (in the order of the profile's ``models``)."""
    return engine_class(name)(folders, threads=threads, device=device, options=options)
