"""Splits as tensors: the scaler, the pooling, and the batches.

Shapes: K members of a pack, N utterances, B of a batch, T steps, D features.
"""

from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.schema import Config
from msa_core.data.batching import Batch, Scaler, batch_sizes, prepare_batch, to_tensor
from msa_core.data.dataset import Split
from spaces.fields.paths import replace

CPU = torch.device("cpu")
LSTM = replace(Config(), {f"model.{name}.encoder": "lstm" for name in ("text", "audio", "vision")})
N, T, D = 9, 4, 3


@pytest.fixture
def split():
    return make_split(0)


def make_split(seed, rows=N):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, T + 1, rows)
    frames = generator.normal(5.0, 2.0, (rows, T, D)).astype(np.float32)
    frames[np.arange(T) >= lengths[:, None]] = 0.0
    return Split(
        name="train",
        ids=tuple(f"{seed}/{row}" for row in range(rows)),
        features={"text": frames},
        lengths={"text": lengths},
        labels=generator.uniform(-3, 3, rows).astype(np.float32),
        unimodal_labels={"text": generator.uniform(-3, 3, rows).astype(np.float32)},
    )


def with_frames(split, frames, lengths=None):
    return dataclass_replace(
        split,
        features={"text": frames.astype(np.float32)},
        lengths={"text": split.lengths["text"] if lengths is None else lengths},
    )


def valid_frames(split):
    return np.concatenate(
        [
            row[:length]
            for row, length in zip(split.features["text"], split.lengths["text"], strict=True)
        ]
    )


def batch_of(split, rows=None, config=LSTM, standardise=True):
    whole = prepare_batch(split, Scaler.fit(split, ("text",), standardise), config, CPU)
    return whole if rows is None else whole.take(torch.tensor(rows))


def tensors_of(batch):
    """Every tensor of a batch, by a name of its own."""
    tensors = {}
    for part, value in batch.to_pytree().items():
        if isinstance(value, torch.Tensor):
            tensors[part] = value
        else:
            tensors.update({f"{part}.{name}": tensor for name, tensor in value.items()})
    return tensors


def test_the_scaler_is_fitted_on_the_valid_frames_alone(split):
    frames = valid_frames(split)
    scaler = Scaler.fit(split, ("text",), standardise=True)
    np.testing.assert_allclose(scaler.mean["text"], frames.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaler.std["text"], frames.std(axis=0), rtol=1e-5)
    assert np.abs(frames.mean(axis=0)).min() > 3  # Zero padding would have pulled it down.


def test_the_padding_does_not_reach_the_scaler(split):
    dirty = split.features["text"].copy()
    dirty[np.arange(T) >= split.lengths["text"][:, None]] = 1e6
    clean, other = (Scaler.fit(s, ("text",), True) for s in (split, with_frames(split, dirty)))
    np.testing.assert_array_equal(clean.mean["text"], other.mean["text"])
    np.testing.assert_array_equal(clean.std["text"], other.std["text"])


def test_train_is_standardised_and_valid_is_scaled_as_train_was(split):
    scaler = Scaler.fit(split, ("text",), standardise=True)
    frames = torch.from_numpy(valid_frames(split))
    mask = torch.arange(T) < torch.tensor(split.lengths["text"])[:, None]
    scaled = prepare_batch(split, scaler, LSTM, CPU).features["text"][mask]
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(D), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0, correction=0), torch.ones(D))
    valid = make_split(5)
    expected = (valid.features["text"][0, 0] - frames.numpy().mean(axis=0)) / frames.numpy().std(
        axis=0
    )
    found = prepare_batch(valid, scaler, LSTM, CPU).features["text"][0, 0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_without_standardising_the_features_stay_as_they_are(split):
    batch = batch_of(split, standardise=False)
    assert np.array_equal(batch.features["text"].numpy(), split.features["text"])


def test_a_feature_that_is_constant_in_train_becomes_0_and_is_not_blown_up(split):
    frames = split.features["text"].copy()
    frames[:, :, 1] = 0.1
    frames[:, :, 2] = 1e6
    constant = with_frames(split, frames)
    scaler = Scaler.fit(constant, ("text",), standardise=True)
    assert scaler.std["text"][1:].tolist() == [1.0, 1.0]
    assert not prepare_batch(constant, scaler, LSTM, CPU).features["text"][:, :, 1:].any()
    assert prepare_batch(split, scaler, LSTM, CPU).features["text"].isfinite().all()


def test_a_modality_without_a_single_valid_frame_stays_zero(split):
    empty = with_frames(split, split.features["text"], lengths=np.zeros(N, np.int64))
    for config in (Config(), LSTM):
        batch = batch_of(empty, config=config)
        assert not batch.features["text"].any()
        assert not any(lengths.any() for lengths in batch.lengths.values())
    assert batch.lengths["text"].shape == (N,)


def test_padding_is_zero_after_scaling(split):
    batch = batch_of(split)
    padding = torch.arange(T) >= batch.lengths["text"][:, None]
    assert padding.any()
    assert not batch.features["text"][padding].any()


def test_pooling_keeps_the_mean_of_the_valid_frames(split):
    whole, pooled = batch_of(split), batch_of(split, config=Config())
    assert pooled.features["text"].shape == (N, D)
    expected = whole.features["text"].sum(dim=1) / whole.lengths["text"][:, None]
    torch.testing.assert_close(pooled.features["text"], expected)


def test_lengths_stay_the_true_ones(split):
    assert batch_of(split).lengths["text"].tolist() == split.lengths["text"].tolist()


def test_only_what_is_not_pooled_has_lengths(split):
    assert batch_of(split, config=Config()).lengths == {}
    both = dataclass_replace(
        split,
        features=dict.fromkeys(("text", "audio"), split.features["text"]),
        lengths={"text": split.lengths["text"], "audio": np.minimum(split.lengths["text"], 2)},
    )
    config = replace(Config(), {"model.audio.encoder": "lstm"})
    batch = prepare_batch(both, Scaler.fit(both, ("text", "audio"), True), config, CPU)
    assert batch.features["text"].shape == (N, D)
    assert set(batch.lengths) == {"audio"}
    assert batch.lengths["audio"].tolist() == both.lengths["audio"].tolist()


@pytest.mark.parametrize("longest", [0, 1, 2, T])
def test_frames_are_cut_to_the_longest_row_of_the_split(split, longest):
    lengths = np.minimum(split.lengths["text"], longest)
    short = with_frames(split, split.features["text"], lengths)
    # A modality without any frame keeps one step of zeros.
    assert batch_of(short).features["text"].shape == (N, max(1, longest), D)
    long = with_frames(split, np.pad(split.features["text"], ((0, 0), (0, 3), (0, 0))), lengths)
    for config in (Config(), LSTM):
        torch.testing.assert_close(
            batch_of(long, config=config).features,
            batch_of(short, config=config).features,
            rtol=0,
            atol=0,
        )


def test_only_the_modalities_asked_for_are_there(split):
    both = dataclass_replace(
        split,
        features={"text": split.features["text"], "audio": split.features["text"]},
        lengths={"text": split.lengths["text"], "audio": split.lengths["text"]},
    )
    assert set(batch_of(both).features) == {"text"}


def test_taking_rows_takes_them_of_everything(split):
    whole, taken = batch_of(split), batch_of(split, rows=[4, 0])
    assert taken.rows.tolist() == [4, 0]
    assert torch.equal(taken.labels, whole.labels[[4, 0]])
    assert torch.equal(taken.features["text"], whole.features["text"][[4, 0]])
    assert torch.equal(taken.lengths["text"], whole.lengths["text"][[4, 0]])
    assert torch.equal(taken.unimodal_labels["text"], whole.unimodal_labels["text"][[4, 0]])
    assert taken.take(torch.tensor([1])).rows.tolist() == [0]


@pytest.mark.parametrize("config", [Config(), LSTM], ids=["mean_mlp", "lstm"])
def test_taking_rows_for_every_member_of_a_pack_takes_each_member_s_own(split, config):
    whole = batch_of(split, config=config)
    rows_KB = torch.tensor([[4, 0, 8], [1, 1, 4]])
    together = whole.take(rows_KB)
    assert together.rows.tolist() == rows_KB.tolist()
    for member, rows_B in enumerate(rows_KB):
        alone = tensors_of(whole.take(rows_B))
        # Features, labels, unimodal labels, rows; and lengths, unless all is pooled.
        assert len(alone) == (5 if config is LSTM else 4)
        assert set(tensors_of(together)) == set(alone)
        for name, values in tensors_of(together).items():
            assert torch.equal(values[member], alone[name])


def test_the_parts_of_a_batch_make_it_again(split):
    batch = dataclass_replace(batch_of(split), unimodal_weights={"text": torch.ones(N)})
    again = tensors_of(Batch(**batch.to_pytree()))
    assert len(again) == 6
    assert all(values is again[name] for name, values in tensors_of(batch).items())


@pytest.mark.parametrize("members", [None, 1])
def test_a_batch_is_trimmed_to_its_longest_row(split, members):
    lengths = np.array([4, 2, 0, 1, 3, 2, 1, 0, 4])
    whole = batch_of(with_frames(split, split.features["text"], lengths))
    for rows, longest in (([1, 3, 5], 2), ([0, 1], 4), ([4], 3), ([2, 7], 1)):
        batch = whole.take(torch.tensor(rows if members is None else [rows]))
        trimmed = batch.trim_padding()
        found, before = trimmed.features["text"], batch.features["text"]
        assert found.shape == (*before.shape[:-2], longest, D)
        assert torch.equal(found, before[..., :longest, :])
        assert not before[..., longest:, :].any()
        assert trimmed.rows is batch.rows


def test_means_have_nothing_to_trim(split):
    batch = batch_of(split, config=Config()).take(torch.tensor([[0, 1]]))
    assert batch.trim_padding().features["text"] is batch.features["text"]


def test_preparing_leaves_the_split_as_it_was(split):
    before = split.features["text"].copy(), split.labels.copy()
    batch = batch_of(split, standardise=False)
    batch.features["text"].zero_()
    batch.labels.zero_()
    np.testing.assert_array_equal(split.features["text"], before[0])
    np.testing.assert_array_equal(split.labels, before[1])


@pytest.mark.parametrize("config", [Config(), LSTM], ids=["mean_mlp", "lstm"])
def test_arrays_that_may_not_be_written_are_copied_without_a_warning(split, config):
    for array in (split.features["text"], split.lengths["text"], split.labels):
        array.flags.writeable = False  # As they come out of shared memory.
    batch = batch_of(split, config=config)
    for lengths in batch.lengths.values():
        lengths.zero_()
    assert bool(batch.lengths) == (config is LSTM)
    assert split.lengths["text"].all()


def test_an_array_is_placed_on_the_cpu_without_a_copy():
    array = np.arange(6, dtype=np.float32)
    tensor = to_tensor(array, CPU)
    array[2] = 9.0
    assert tensor.tolist() == array.tolist()
    array.flags.writeable = False
    assert to_tensor(array, CPU).tolist() == array.tolist()  # Without PyTorch's warning.


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (9, 4, [4, 5]),
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (3, 2, [3]),
        (5, 2, [2, 3]),
        (2, 2, [2]),
        (7, 100, [7]),
        (1, 4, [1]),
    ],
)
def test_a_single_last_row_joins_the_batch_before_it(rows, size, expected):
    assert batch_sizes(rows, size) == expected


@pytest.mark.parametrize("size", [2, 3, 7, 32])
def test_an_epoch_visits_every_row_once_and_no_batch_is_too_small(size):
    for rows in range(2, 70):
        sizes = batch_sizes(rows, size)
        assert sum(sizes) == rows
        assert min(sizes) >= 2
        assert max(sizes) <= size + 1
