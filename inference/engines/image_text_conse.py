"""A shared space of pictures and text without CLIP weights: convex combination of class-name embeddings.

After Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings (2013), with three changes: all
classes take part under a softmax of temperature 2, the class vectors are centred before they are mixed, and part of
their mean is added back. A picture lands near the words for what it shows, in the space of the sentence model.

ImageNet knows no documents. ``ConseDocumentsEmbedder`` adds a class for each kind of them: the picture head says how
much of each kind is in a picture, and the ImageNet classes share the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from inference.errors import InputRejected
from inference.preprocessing.imagenet import ImageNetClassifier, Logits, class_definitions, class_synonyms
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.picture_head import CHART_KINDS, KINDS, PictureHead, head_input
from inference.preprocessing.picture_measure import picture_measure
from inference.preprocessing.picture_words import KIND_TEXTS
from inference.preprocessing.sentence import SentenceEncoder
from inference.values import RgbImage, Vectors

HalfVectors: TypeAlias = np.ndarray[Any, np.dtype[np.float16]]

_HEADS = Path(__file__).resolve().parents[2] / "weights" / "heads"
_TEMPERATURE = 2.0
_MEAN_SHARE = 0.3
# Below this share a kind is doubt rather than content, and would pull photographs towards documents.
_LEAST_KIND = 0.1
# The rest stays with the objects: all pages would otherwise have one vector, and a drawn dog none of a dog.
_KIND_SHARE = 0.6


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
            self._class_vectors = _class_vectors(self, self._sentences, sentence_folder, heads)
        self.dimensions = self._sentences.dimensions

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """Embed pictures; float32, shape (len(batch), dimensions), unit rows."""
        with library_errors("conse", f"embedding {len(batch)} pictures"):
            return _mix(self._classifier.logits(batch), self._kinds(batch), self._class_vectors)

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed queries as they are: a frame such as "a photo of" was measured to rank worse."""
        with library_errors("conse", f"embedding {len(batch)} queries"):
            return self._sentences.encode(batch)

    def _kinds(self, batch: Sequence[RgbImage]) -> Vectors:
        return np.zeros((len(batch), 0), np.float32)

    @classmethod
    def head_path(cls, sentence_folder: Path, heads: Path) -> Path:
        """Return where the class vectors of this recipe and a sentence model lie."""
        digest = hashlib.sha256(cls.recipe_version.encode())
        with (sentence_folder / "model.safetensors").open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
        return heads / f"conse-{digest.hexdigest()[:12]}.safetensors"

    @classmethod
    def class_vectors(cls, sentences: SentenceEncoder) -> HalfVectors:
        """Compute the class vectors; in half precision, so that stored and computed ones are the same numbers."""
        return _object_vectors(sentences).astype(np.float16)


class ConseDocumentsEmbedder(ConseEmbedder):
    """The same with a class for every kind of document."""

    recipe_version = "2"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folders, threads=threads, device=device, options=options)
        self._head = PictureHead()

    def _kinds(self, batch: Sequence[RgbImage]) -> Vectors:
        features = self._classifier.features(batch)
        rows = [head_input(row, image, picture_measure(image)) for row, image in zip(features, batch, strict=True)]
        scores = self._head.scores(np.stack(rows))
        shares = dict(zip(KINDS, scores["kind"].T, strict=True))
        of_chart = dict(zip(CHART_KINDS, scores["chart_kind"].T, strict=True))
        found = [shares["chart"] * of_chart[name] if name in of_chart else shares[name] for name in KIND_TEXTS]
        kinds: Vectors = np.stack(found, axis=1)
        return np.where(kinds >= _LEAST_KIND, kinds * np.float32(_KIND_SHARE), np.float32(0))

    @classmethod
    def class_vectors(cls, sentences: SentenceEncoder) -> HalfVectors:
        """Compute the vectors of ImageNet's classes, then those of the kinds of documents."""
        kinds = [sentences.encode(texts).mean(axis=0) for texts in KIND_TEXTS.values()]
        return np.concatenate([_object_vectors(sentences), np.stack(kinds)]).astype(np.float16)


def head_write(
    sentence_folder: Path, heads: Path, *, engine: type[ConseEmbedder] = ConseEmbedder, device: str = "cpu"
) -> Path:
    """Compute the class vectors of a sentence model once and keep them beside the other heads."""
    path = engine.head_path(sentence_folder, heads)
    save_file({"class_vectors": engine.class_vectors(SentenceEncoder(sentence_folder, device=device))}, path)
    return path


def _class_vectors(engine: ConseEmbedder, sentences: SentenceEncoder, sentence_folder: Path, heads: Path) -> Vectors:
    path = engine.head_path(sentence_folder, heads)
    stored = load_file(path)["class_vectors"] if path.is_file() else engine.class_vectors(sentences)
    return stored.astype(np.float32)


def _object_vectors(sentences: SentenceEncoder) -> Vectors:
    synonyms = class_synonyms()
    photographs = [f"a photo of a {names[0]}" for names in synonyms]
    lists = [", ".join(names) for names in synonyms]
    vectors = sum(sentences.encode(texts) for texts in (photographs, lists, class_definitions()))
    return (np.asarray(vectors) / 3).astype(np.float32)


def _mix(logits: Logits, kinds: Vectors, class_vectors: Vectors) -> Vectors:
    scaled = logits / _TEMPERATURE
    objects = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    objects *= (1 - kinds.sum(axis=1, keepdims=True)) / objects.sum(axis=1, keepdims=True)
    mean = class_vectors[: logits.shape[1]].mean(axis=0)
    vectors = np.concatenate([objects, kinds], axis=1) @ (class_vectors - mean) + _MEAN_SHARE * mean
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
