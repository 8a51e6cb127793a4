"""A shared space of pictures and text without CLIP weights: convex combination of class-name embeddings.

After Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings (2013), with three changes: all
classes take part under a softmax of temperature 2, the class vectors are centred before they are mixed, and part of
their mean is added back. A picture lands near the words for what it shows, in the space of the sentence model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from inference.errors import InputRejected
from inference.preprocessing.imagenet import ImageNetClassifier, Logits, class_definitions, class_synonyms
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.sentence import SentenceEncoder
from inference.values import RgbImage, Vectors

_HEADS = Path(__file__).resolve().parents[2] / "weights" / "heads"
_TEMPERATURE = 2.0
_MEAN_SHARE = 0.3


class ConseEmbedder:
    """Pictures through an ImageNet classifier, text through a sentence model, both into the sentence model's space.

    Folders: the classifier, then the sentence model.

    Options:
        heads: Folder with precomputed class vectors; without a file for this sentence model they are computed while
            loading, which takes some ten seconds.
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
        torch.set_num_threads(threads)
        chosen = dict(options or {})
        heads = Path(chosen.pop("heads", _HEADS))
        if chosen:
            raise InputRejected(f"conse does not know the options {sorted(chosen)}; it knows heads")
        classifier_folder, sentence_folder = folders
        with library_errors("conse", f"loading {classifier_folder} and {sentence_folder}"):
            self._classifier = ImageNetClassifier(classifier_folder, device=device)
            self._sentences = SentenceEncoder(sentence_folder, device=device)
            self._class_vectors = _class_vectors(self._sentences, sentence_folder, heads)
        self.dimensions = self._sentences.dimensions

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """Embed pictures; float32, shape (len(batch), dimensions), unit rows."""
        with library_errors("conse", f"embedding {len(batch)} pictures"):
            return _mix(self._classifier.logits(batch), self._class_vectors)

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed queries as they are: a frame such as "a photo of" was measured to rank worse."""
        with library_errors("conse", f"embedding {len(batch)} queries"):
            return self._sentences.encode(batch)


def head_write(sentence_folder: Path, heads: Path, *, device: str = "cpu") -> Path:
    """Compute the class vectors of a sentence model once and keep them beside the other heads."""
    path = _head_path(sentence_folder, heads)
    vectors = _class_vectors_computed(SentenceEncoder(sentence_folder, device=device))
    save_file({"class_vectors": vectors}, path)
    return path


def _class_vectors(sentences: SentenceEncoder, sentence_folder: Path, heads: Path) -> Vectors:
    path = _head_path(sentence_folder, heads)
    stored = load_file(path)["class_vectors"] if path.is_file() else _class_vectors_computed(sentences)
    return stored.astype(np.float32)


def _class_vectors_computed(sentences: SentenceEncoder) -> np.ndarray[Any, np.dtype[np.float16]]:
    synonyms = class_synonyms()
    photographs = [f"a photo of a {names[0]}" for names in synonyms]
    lists = [", ".join(names) for names in synonyms]
    vectors = sum(sentences.encode(texts) for texts in (photographs, lists, class_definitions()))
    # Half precision, so that stored and computed vectors are the same numbers.
    return (np.asarray(vectors) / 3).astype(np.float16)


def _head_path(sentence_folder: Path, heads: Path) -> Path:
    digest = hashlib.sha256(ConseEmbedder.recipe_version.encode())
    with (sentence_folder / "model.safetensors").open("rb") as weights:
        digest.update(hashlib.file_digest(weights, "sha256").digest())
    return heads / f"conse-{digest.hexdigest()[:12]}.safetensors"


def _mix(logits: Logits, class_vectors: Vectors) -> Vectors:
    scaled = logits / _TEMPERATURE
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = class_vectors.mean(axis=0)
    vectors = weights @ (class_vectors - mean) + _MEAN_SHARE * mean
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
