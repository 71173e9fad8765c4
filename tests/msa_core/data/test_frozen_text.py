"""Text features from a frozen language model: a tiny one, made here, of random weights."""

import importlib
import json
import pickle
import shutil
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from msa_core.config.planted import PlantedConfig
from msa_core.data import frozen_text
from msa_core.data.frozen_text import with_encoded_text
from msa_core.data.load import load_dataset
from msa_core.data.planted import generate_planted
from msa_core.data.tensor_file import write_tensors
from spaces.core import DataError
from tests.cases.feature_files import write_npz

transformers = pytest.importorskip(
    "transformers", reason="the extra 'text' (transformers) is not installed"
)

WORDS = ("the", "film", "is", "good", "bad", "very", "long")
VOCABULARY = {name: row for row, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
TEXTS = ["the film is very good", "bad", "", "the film is bad the film is very very bad"]
LENGTHS = [7, 3, 2, 12]  # With [CLS] and [SEP].
WIDTH = 8
ROWS = {"train": 5, "valid": 2, "test": 2}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a tiny BERT."""
    folder = tmp_path_factory.mktemp("bert")
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=VOCABULARY).save_pretrained(folder)
    return folder


@pytest.fixture
def changed(bert, tmp_path):
    """A copy of the model's folder, to be damaged."""
    return shutil.copytree(bert, tmp_path / "changed")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any attempt to reach another machine fails the test."""

    def refuse(*_):
        pytest.fail("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def tokens_of(texts, steps):
    """The form of `text_bert`: ids, mask, segments, [N, 3, T] of float, as MMSA keeps it."""
    tokens = np.zeros((len(texts), 3, steps), np.float32)
    for row, text in enumerate(texts):
        ids = [VOCABULARY[word] for word in ("[CLS]", *text.split(), "[SEP]")]
        tokens[row, 0, : len(ids)] = ids
        tokens[row, 1, : len(ids)] = 1
    return tokens


def encode_text(texts, folder):
    return encoded({"raw_text": np.array(texts)}, folder)


def encode_tokens(tokens, folder):
    return encoded({"text_bert": tokens}, folder)


def encoded(values, folder):
    found = with_encoded_text("file", {"train": values}, folder)["train"]
    return SimpleNamespace(features=found["text"], lengths=found["text_lengths"])


def texts_of(split):
    return [TEXTS[row % len(TEXTS)] for row in range(ROWS[split])]


@pytest.fixture
def content():
    """A feature file as a dictionary, with the text in words."""
    generated = generate_planted(PlantedConfig(steps=3, width=4, **ROWS))
    splits = {"test": generated.test}
    splits |= {name: getattr(generated.splits, name) for name in ("train", "valid")}
    return {
        name: {
            "id": list(split.ids),
            "raw_text": np.array(texts_of(name), dtype=object),
            "text": split.features["text"],
            "audio": split.features["audio"],
            "regression_labels": split.labels,
        }
        for name, split in splits.items()
    }


@pytest.fixture
def features(tmp_path):
    def write(content):
        path = tmp_path / "features.pkl"
        path.write_bytes(pickle.dumps(content))
        return path

    return write


# --- What the model gives.


def test_each_text_gets_the_models_own_vectors_whatever_it_is_padded_to(bert):
    found = encode_text(TEXTS, bert)
    assert found.features.shape == (4, 12, WIDTH)
    assert found.features.dtype == np.float32
    assert found.lengths.tolist() == LENGTHS
    model = transformers.BertModel.from_pretrained(bert).eval()
    for row, text in enumerate(TEXTS):
        ids = [VOCABULARY[word] for word in ("[CLS]", *text.split(), "[SEP]")]
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        length = LENGTHS[row]
        np.testing.assert_allclose(found.features[row, :length], alone.numpy(), atol=2e-6)
        assert not found.features[row, length:].any()


def test_tokens_and_texts_give_the_same(bert):
    first, second = encode_text(TEXTS, bert), encode_tokens(tokens_of(TEXTS, 15), bert)
    np.testing.assert_array_equal(first.lengths, second.lengths)
    np.testing.assert_array_equal(first.features, second.features)


def test_more_utterances_than_a_batch_keep_their_rows(bert, monkeypatch):
    together = encode_text(TEXTS * 3, bert)
    monkeypatch.setattr(frozen_text, "BATCH", 5)
    apart = encode_text(TEXTS * 3, bert)
    np.testing.assert_array_equal(together.lengths, LENGTHS * 3)
    np.testing.assert_allclose(together.features, apart.features, atol=2e-6)
    np.testing.assert_allclose(apart.features[:4], apart.features[8:], atol=2e-6)


def test_the_same_text_gives_the_same_bits_and_no_random_stream_moves(bert):
    before = torch.get_rng_state()
    first, second = encode_text(TEXTS, bert), encode_text(TEXTS, bert)
    np.testing.assert_array_equal(first.features, second.features)
    assert torch.equal(before, torch.get_rng_state())


def test_no_tokens_at_all_are_an_utterance_of_no_frames(bert):
    tokens = tokens_of(TEXTS, 15)
    tokens[1] = 0
    found = encode_tokens(tokens, bert)
    assert found.lengths[1] == 0
    assert not found.features[1].any()
    assert np.isfinite(found.features).all()


def test_segments_reach_the_model(bert):
    tokens = tokens_of(TEXTS[:1], 7)
    first = encode_tokens(tokens, bert).features
    tokens[0, 2, 3:] = 1
    assert np.abs(encode_tokens(tokens, bert).features - first).max() > 1e-3


def test_a_model_without_segments_and_with_shifted_positions_is_read_to_its_end(tmp_path):
    config = transformers.RobertaConfig(
        vocab_size=20, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=10, pad_token_id=1, type_vocab_size=1,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(tmp_path)
    tokens = np.ones((1, 3, 8), np.int64)
    tokens[:, 0], tokens[:, 2] = 5, 0
    assert encode_tokens(tokens, tmp_path).lengths.tolist() == [8]
    longer = np.concatenate([tokens, tokens[:, :, :1]], axis=2)
    with pytest.raises(DataError, match=r"'text_bert', row 0: 9 tokens, but the model .* reads 8"):
        encode_tokens(longer, tmp_path)


# --- In a feature file.


def test_the_models_vectors_become_the_text_of_the_data(content, features, bert):
    dataset = load_dataset(features(content), "mosi", bert)
    plain = load_dataset(features(content), "mosi")
    assert dataset.fingerprint != plain.fingerprint
    for name in ROWS:
        split = dataset.test if name == "test" else getattr(dataset.splits, name)
        expected = encode_text(texts_of(name), bert)
        np.testing.assert_array_equal(split.features["text"], expected.features)
        np.testing.assert_array_equal(split.lengths["text"], expected.lengths)
    np.testing.assert_array_equal(
        dataset.splits.train.features["audio"], plain.splits.train.features["audio"]
    )


def test_given_tokens_go_before_the_raw_text(content, features, bert):
    other = [" ".join(reversed(text.split())) for text in TEXTS]
    for name, rows in ROWS.items():
        content[name]["text_bert"] = tokens_of([other[row % 4] for row in range(rows)], 15)
    dataset = load_dataset(features(content), "mosi", bert)
    expected = encode_text([other[row % 4] for row in range(ROWS["valid"])], bert)
    np.testing.assert_array_equal(dataset.splits.valid.features["text"], expected.features)


def test_a_file_without_text_features_gains_the_modality(content, features, bert):
    for values in content.values():
        del values["text"]
    assert load_dataset(features(content), "mosi").modalities == ("audio",)
    assert load_dataset(features(content), "mosi", bert).modalities == ("text", "audio")


@pytest.mark.parametrize("name", ["f.npz", "f.safetensors"])
def test_every_format_carries_raw_text(name, content, features, bert, tmp_path):
    expected = load_dataset(features(content), "mosi", bert).fingerprint
    named = {f"{a}.{b}": value for a, split in content.items() for b, value in split.items()}
    words = {key: list(value) for key, value in named.items() if key.endswith(("id", "raw_text"))}
    arrays = {key: value for key, value in named.items() if key not in words}
    if name == "f.npz":
        arrays |= {key: np.array(value) for key, value in words.items()}
        np.savez(tmp_path / name, **arrays)
    else:
        texts = {key: json.dumps(value) for key, value in words.items()}
        write_tensors(tmp_path / name, arrays, texts)
    assert load_dataset(tmp_path / name, "mosi", bert).fingerprint == expected


def test_the_text_is_encoded_once_for_a_model_and_anew_for_another(
    content, features, bert, changed, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    path = features(content)
    first = load_dataset(path, "mosi", bert)
    state = transformers.BertModel.from_pretrained(changed)
    with torch.no_grad():
        state.embeddings.word_embeddings.weight[5] += 1.0
    state.save_pretrained(changed)
    second = load_dataset(path, "mosi", changed)
    assert second.fingerprint != first.fingerprint
    monkeypatch.setattr(frozen_text, "_import_transformers", None)
    assert load_dataset(path, "mosi", bert).fingerprint == first.fingerprint
    assert load_dataset(path, "mosi", changed).fingerprint == second.fingerprint


# --- Mistakes.


def test_a_file_without_text_says_what_is_missing(tmp_path, bert):
    write_npz(tmp_path / "f.npz", generate_planted(PlantedConfig(steps=2, width=3, **ROWS)))
    with pytest.raises(DataError, match=r"'train' has neither 'raw_text' nor 'text_bert'"):
        load_dataset(tmp_path / "f.npz", "mosi", bert)


def test_planted_data_have_no_text(bert):
    with pytest.raises(DataError, match="planted data have no text"):
        load_dataset(PlantedConfig(), "mosi", bert)


@pytest.mark.parametrize("name", ["bert-base-uncased", "empty"])
def test_what_is_no_model_folder_is_not_looked_for_elsewhere(name, content, features, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"{name} .*no 'config.json'.*nothing is downloaded"):
        load_dataset(features(content), "mosi", tmp_path / name)


def test_a_missing_package_is_named_with_its_extra(content, features, changed, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setenv("TRIPTYCH_CACHE", "off")
    with pytest.raises(DataError, match=r"transformers is not installed.*'triptych\[text\]'"):
        load_dataset(features(content), "mosi", changed)


def test_weights_that_are_missing_are_not_made_up(changed):
    from safetensors.numpy import load_file, save_file

    weights = load_file(changed / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, changed / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 of its weights, such as 'encoder\.layer\.1"):
        encode_text(TEXTS, changed)


def test_a_missing_pooler_is_no_matter(bert, changed):
    from safetensors.numpy import load_file, save_file

    weights = load_file(changed / "model.safetensors")
    kept = {name: array for name, array in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, changed / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(
        encode_text(TEXTS, changed).features, encode_text(TEXTS, bert).features
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_broken_folder_is_refused_in_one_line(name, changed):
    (changed / name).write_bytes(b"{broken")
    with pytest.raises(DataError, match=r"cannot be loaded as AutoModel: .*save_pretrained") as it:
        encode_text(TEXTS, changed)
    assert "\n" not in str(it.value)


def test_an_encoder_decoder_is_refused(tmp_path):
    config = transformers.T5Config(
        vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    transformers.T5Model(config).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="is an encoder-decoder"):
        encode_tokens(tokens_of(["bad"], 3), tmp_path)


def test_a_text_longer_than_the_model_is_refused_with_its_row(content, features, bert):
    content["valid"]["raw_text"][1] = "very " * 15
    with pytest.raises(
        DataError, match=r"'valid', key 'raw_text', row 1: 17 tokens, but .* reads 16; shorten"
    ):
        load_dataset(features(content), "mosi", bert)


WRONG_TOKENS = {
    "ids of another vocabulary": ((0, 0, 1), 30522, r"row 0: 30522 among its ids.*0 to 10; were"),
    "a segment too many": ((1, 2, 0), 2, r"row 1: 2 among its segments.*0 to 1"),
    "a mask with a hole": ((1, 1, 0), 0, "row 1: whole numbers are needed, with a mask of ones"),
    "a mask of twos": ((1, 1, 0), 2, "row 1: whole numbers are needed, with a mask of ones"),
    "halves": ((1, 0, 1), 0.5, "row 1: whole numbers are needed"),
    "not a number": ((0, 0, 0), np.nan, "row 0: whole numbers are needed"),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_wrong_tokens_are_refused_with_their_row(name, content, features, bert):
    for split, rows in ROWS.items():
        content[split]["text_bert"] = tokens_of(["very good"] * rows, 6)
    place, value, message = WRONG_TOKENS[name]
    content["test"]["text_bert"][place] = value
    with pytest.raises(DataError, match=rf"'test', key 'text_bert', {message}"):
        load_dataset(features(content), "mosi", bert)


def test_tokens_of_another_shape_are_refused(content, features, bert):
    content["train"]["text_bert"] = np.zeros((5, 2, 6))
    with pytest.raises(DataError, match=r"'text_bert': float64 values of shape \(5, 2, 6\), but"):
        load_dataset(features(content), "mosi", bert)


def test_raw_text_that_is_no_text_is_refused(content, features, bert):
    content["train"]["raw_text"] = np.arange(5)
    with pytest.raises(DataError, match=r"'raw_text': int64 values of shape \(5,\), but one text"):
        load_dataset(features(content), "mosi", bert)


def test_rows_of_text_must_be_those_of_the_labels(content, features, bert):
    content["train"]["raw_text"] = content["train"]["raw_text"][:4]
    with pytest.raises(DataError, match="key 'text': 4 rows, but 'regression_labels' has 5"):
        load_dataset(features(content), "mosi", bert)
