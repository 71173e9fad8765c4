"""The generated data: its theory, its streams and its shape."""

import itertools
import time

import numpy as np
import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.data.planted import generate_planted
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.planted_theory import expected_r2

LARGE = PlantedConfig(train=4000, valid=2, test=4000, width=6)
SMALL = PlantedConfig(train=50, valid=20, test=30, steps=7, width=5)
GOLDEN_LABELS = [0.2993278205394745, 1.3553024530410767, 2.2806358337402344]
GOLDEN_FINGERPRINT = "fcf0bcb73e9cc87f6e0be99d72174037980899d0123c03f3fc608a9bd4441625"
GOLDEN_FRAMES = [1.3508349657058716, 0.9264273047447205, -1.014345407485962]


def pooled(split, modality):
    """Mean of the valid frames [N, d]."""
    lengths = split.lengths[modality][:, np.newaxis]
    return split.features[modality].sum(axis=1, dtype=np.float64) / lengths


@pytest.mark.parametrize(
    ("subset", "multiplicative", "expected"),
    [
        (("text",), False, 0.45),
        (("audio",), False, 0.15),
        (("vision",), True, 0.15),
        (("text", "audio"), False, 0.5),
        (("text", "vision"), True, 0.5),
        (("audio", "vision"), False, 0.2),
        (("audio", "vision"), True, 0.5),
        (MODALITIES, False, 0.525),
        (MODALITIES, True, 0.825),
        ((), True, 0.0),
    ],
)
def test_theory_known_answers(subset, multiplicative, expected):
    assert expected_r2(PlantedConfig(), subset, multiplicative) == pytest.approx(expected)


def test_theory_without_noise_on_the_shared_part():
    config = replace(PlantedConfig(), {"shared_noise": 0.0})
    assert expected_r2(config, ["audio"], False) == pytest.approx(0.3)


def test_the_same_recipe_gives_the_same_bits():
    assert generate_planted(SMALL).fingerprint == generate_planted(SMALL).fingerprint
    assert (
        generate_planted(SMALL).fingerprint
        != generate_planted(replace(SMALL, {"seed": 1})).fingerprint
    )


def test_the_bits_do_not_depend_on_global_randomness_or_time():
    # A change of these bits is a new data set: every ledger on planted data starts anew.
    first = generate_planted(SMALL).splits.train
    assert first.labels[:3].tolist() == GOLDEN_LABELS
    assert first.features["audio"][0, 0, :3].tolist() == GOLDEN_FRAMES
    assert generate_planted(PlantedConfig()).fingerprint == GOLDEN_FINGERPRINT


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_error_factor_changes_its_own_modality_only(modality):
    before = generate_planted(SMALL).splits.train
    after = generate_planted(replace(SMALL, {f"{modality}_error": 4.0})).splits.train
    np.testing.assert_array_equal(after.labels, before.labels)
    for name in MODALITIES:
        same = np.array_equal(after.features[name], before.features[name])
        assert same == (name != modality)


def test_an_error_factor_is_the_variance_of_the_error():
    recipe = replace(LARGE, {"frame_noise": 0.0, "shared_noise": 0.5, "vision_error": 3.0})
    train = generate_planted(recipe).splits.train
    without = generate_planted(replace(recipe, {"vision_error": 0.0})).splits.train
    error = pooled(train, "vision") - pooled(without, "vision")
    # The error moves all features along one direction, of squared norm `width`.
    assert np.linalg.matrix_rank(error, tol=1e-2) == 1
    assert np.mean(np.sum(error**2, axis=1)) / recipe.width == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize("changed", ["valid", "test"])
def test_the_size_of_one_split_leaves_the_others_as_they_were(changed):
    before, after = generate_planted(SMALL), generate_planted(replace(SMALL, {changed: 99}))
    for name in {"train", "valid", "test"} - {changed}:
        first, second = by_name(before)[name], by_name(after)[name]
        np.testing.assert_array_equal(first.labels, second.labels)
        for modality in MODALITIES:
            np.testing.assert_array_equal(first.features[modality], second.features[modality])


def test_a_larger_train_split_begins_with_the_smaller_one():
    small, large = generate_planted(SMALL), generate_planted(replace(SMALL, {"train": 80}))
    rows = slice(0, SMALL.train)
    np.testing.assert_array_equal(large.splits.train.labels[rows], small.splits.train.labels)
    for modality in MODALITIES:
        np.testing.assert_array_equal(
            large.splits.train.features[modality][rows], small.splits.train.features[modality]
        )


def test_frame_noise_leaves_the_labels_as_they_were():
    quiet = generate_planted(replace(SMALL, {"frame_noise": 0.0}))
    np.testing.assert_array_equal(quiet.test.labels, generate_planted(SMALL).test.labels)


def test_the_splits_are_different_draws():
    dataset = generate_planted(replace(SMALL, {"valid": 50, "test": 50}))
    labels = [split.labels for split in by_name(dataset).values()]
    for first, second in itertools.combinations(labels, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.5
        assert not np.array_equal(first, second)


def test_the_mean_of_the_valid_frames_keeps_the_latents():
    config = replace(SMALL, {"frame_noise": 0.0, "shared_noise": 0.0, "train": 400, "width": 3})
    train = generate_planted(config).splits.train
    text, audio = pooled(train, "text"), pooled(train, "audio")
    # Two latents behind text's frames, three behind audio's, of which text and audio share one.
    assert np.linalg.matrix_rank(text, tol=1e-4) == 2
    assert np.linalg.matrix_rank(audio, tol=1e-4) == 3
    assert np.linalg.matrix_rank(np.hstack([text, audio]), tol=1e-4) == 4


def test_padding_is_zero_and_lengths_fill_the_upper_half():
    dataset = generate_planted(replace(SMALL, {"train": 400}))
    for split in by_name(dataset).values():
        for modality, features in split.features.items():
            lengths = split.lengths[modality]
            padding = np.arange(SMALL.steps) >= lengths[:, np.newaxis]
            assert not features[padding].any()
            assert np.all(features[~padding].any(axis=-1))
    assert set(dataset.splits.train.lengths["vision"]) == {4, 5, 6, 7}


def test_a_single_step_is_enough():
    dataset = generate_planted(replace(SMALL, {"steps": 1}))
    assert set(dataset.test.lengths["text"]) == {1}


def test_labels_have_the_variance_of_the_scale_before_clipping():
    labels = generate_planted(LARGE).splits.train.labels
    assert np.abs(labels).max() == 3.0
    assert np.mean(np.abs(labels) == 3.0) == pytest.approx(0.04, abs=0.02)
    assert np.std(labels) == pytest.approx(1.5, abs=0.07)


def test_unimodal_labels_are_the_true_ones():
    config = replace(
        PlantedConfig(), {"shared": 0.5, "text_private": 0.5, "synergy": 0, "noise": 0}
    )
    train = generate_planted(config).splits.train
    np.testing.assert_array_equal(train.unimodal_labels["text"], train.labels)
    np.testing.assert_array_equal(train.unimodal_labels["audio"], train.unimodal_labels["vision"])
    shared = np.corrcoef(train.unimodal_labels["audio"], train.labels)[0, 1] ** 2
    assert shared == pytest.approx(0.5, abs=0.05)


def test_shares_must_add_up_to_1():
    config = replace(PlantedConfig(), {"noise": 0.2})
    with pytest.raises(ConfigError, match=r"add up to 1, but shared 0\.3 .* = 1\.1"):
        generate_planted(config)


def test_the_default_size_is_generated_fast():
    generate_planted(SMALL)
    start = time.process_time()
    generate_planted(PlantedConfig())
    assert time.process_time() - start < 0.5  # Takes 0.05 s.


def by_name(dataset):
    return {s.name: s for s in (dataset.splits.train, dataset.splits.valid, dataset.test)}
