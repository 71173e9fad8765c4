"""Robustness curves: known ends, nested masks, and areas of curves that are known."""

import math

import numpy as np
import pytest

from msa_core.analysis.robustness import (
    RobustnessScore,
    area_under_curve,
    robustness_curve,
    without_frames,
)
from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.training.evaluation import evaluate, robustness
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 16 for name in MODALITIES},
        "model.projection.width": 8,
        "model.fusion.width": 16,
        "train.epochs": 8,
        "train.learning_rate": 0.005,
    },
)


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=256, valid=96, test=90, steps=5, width=6))


@pytest.fixture(scope="module")
def train(data):
    def train(changes=()):
        (result,) = train_pack([Member(replace(SMALL, dict(changes)), 0)], data.splits)
        assert result.status == "complete", result.reason
        return result

    return train


@pytest.fixture(scope="module")
def result(train):
    return train()


@pytest.fixture(scope="module")
def table(data, result):
    return robustness(result, data.test, rng=np.random.default_rng(0), repetitions=3)


def rng(seed=0):
    return np.random.default_rng(seed)


def curve(table, metric):
    """Share -> the metric in each repetition."""
    found = {}
    for one in table:
        if one.metric == metric:
            found.setdefault(one.share, []).append(one.value)
    return found


@pytest.mark.parametrize("encoder", ["mean_mlp", "lstm"])
@pytest.mark.parametrize("standardise", [True, False])
def test_share_0_is_the_evaluation_bit_by_bit(data, train, encoder, standardise):
    changes = {f"model.{name}.encoder": encoder for name in MODALITIES}
    result = train({**changes, "features.standardise": standardise, "train.epochs": 1})
    found = robustness(result, data.test, rng=rng(), shares=(0.0,), repetitions=2)
    assert {one.metric: one.value for one in found} == evaluate(result, data.test).metrics


def test_share_1_is_a_constant_predictor(data, result):
    fill = result.trained.scaler.mean
    every = {name: np.ones(data.test.features[name].shape[:2], bool) for name in fill}
    predictions = evaluate(result, without_frames(data.test, every, fill)).predictions
    assert (predictions == predictions[0]).all()
    (*_, last) = curve(robustness(result, data.test, rng=rng(), shares=(0.0, 1.0)), "corr").values()
    assert last == [None]


def test_a_modality_without_a_frame_left_says_nothing(data, result):
    """As if that modality of each utterance were another's: only its frames are missing."""
    fill = result.trained.scaler.mean
    others = {**data.test.features, "text": data.test.features["text"][::-1].copy()}
    every = {"text": np.ones(others["text"].shape[:2], bool)}
    swapped = type(data.test)(
        name="test", ids=data.test.ids, features=others, lengths=data.test.lengths,
        labels=data.test.labels,
    )  # fmt: skip
    first, second = (
        evaluate(result, without_frames(split, every, fill)).predictions
        for split in (data.test, swapped)
    )
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) > 0


def test_a_modality_off_in_the_model_can_not_lose_frames(data, train):
    result = train({"model.audio.use": False, "train.epochs": 1})
    with pytest.raises(ValueError, match=r"the model reads no audio; it reads text, vision"):
        robustness(result, data.test, rng=rng(), modalities=["audio"])


def test_a_model_that_learnt_something_knows_less_the_more_is_missing(table):
    corr = curve(table, "corr")
    means = [np.mean(values) for share, values in corr.items() if share < 1]
    assert means[0] > 0.5
    assert means[0] > means[5] > means[9]
    assert len(corr[0.5]) == 3
    assert len(set(corr[0.5])) == 3


def test_text_matters_more_where_only_text_knows_its_part(data, result):
    """By the recipe text carries .45 of the label's variance, and vision .15 of it."""
    lost = {
        name: curve(
            robustness(result, data.test, rng=rng(), modalities=[name], shares=(0.0, 1.0)), "corr"
        )
        for name in ("text", "vision")
    }
    fall = {name: corr[0.0][0] - corr[1.0][0] for name, corr in lost.items()}
    assert fall["text"] > fall["vision"] + 0.1


def test_the_same_generator_gives_the_same_table_and_another_a_different_one(data, result, table):
    same = robustness(result, data.test, rng=rng(), repetitions=3)
    assert same == table
    other = robustness(result, data.test, rng=rng(1), repetitions=3)
    assert curve(other, "mae")[0.5] != curve(table, "mae")[0.5]


def test_the_split_is_left_as_it_was(data, result, table):
    before = generate_planted(PlantedConfig(train=256, valid=96, test=90, steps=5, width=6)).test
    for name in MODALITIES:
        np.testing.assert_array_equal(data.test.features[name], before.features[name])


# The masks, seen by a score that counts frames.


def counted(split):
    """The share of frames that are whole, a modality."""
    return {name: float((array[..., 0] != 0).mean()) for name, array in split.features.items()}


@pytest.fixture
def whole(data):
    """A split in which every frame is 1."""
    return type(data.test)(
        name="test",
        ids=data.test.ids,
        features={name: np.ones((90, 40, 2), np.float32) for name in ("text", "audio")},
        lengths={name: np.full(90, 40) for name in ("text", "audio")},
        labels=data.test.labels,
    )


ZEROS = {name: np.zeros(2, np.float32) for name in ("text", "audio")}


def test_the_share_missing_is_the_share_asked_for(whole):
    found = robustness_curve(counted, whole, ZEROS, rng=rng(), repetitions=4)
    for one in found:
        error = math.sqrt(one.share * (1 - one.share) / (90 * 40))
        assert abs(1 - one.value - one.share) <= 4 * error


def test_what_is_missing_at_one_share_is_missing_at_all_larger_ones(whole):
    seen = []

    def watch(split):
        seen.append(split.features["text"][..., 0] != 0)
        return counted(split)

    robustness_curve(watch, whole, ZEROS, rng=rng(), shares=(0.2, 0.5, 0.9), repetitions=1)
    assert (seen[1] <= seen[0]).all()
    assert (seen[2] <= seen[1]).all()
    assert seen[0].sum() > seen[1].sum() > seen[2].sum() > 0


def test_only_the_modalities_asked_for_lose_frames(whole):
    found = robustness_curve(
        counted, whole, ZEROS, rng=rng(), modalities=["audio"], shares=(0.5,), repetitions=1
    )
    whole_share = {one.metric: one.value for one in found}
    assert whole_share["text"] == 1.0
    assert 0.4 < whole_share["audio"] < 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": (0.5, 0.2)}, r"shares must rise within 0\.\.1"),
        ({"shares": (0.5, 0.5)}, r"shares must rise within 0\.\.1"),
        ({"shares": (0.0, 1.2)}, r"shares must rise within 0\.\.1"),
        ({"shares": ()}, r"shares must rise within 0\.\.1"),
        ({"repetitions": 0}, "at least one repetition"),
        ({"modalities": ["vision"]}, "the model reads no vision"),
        ({"modalities": []}, "no modality"),
    ],
)
def test_what_makes_no_sense_is_refused(whole, changes, message):
    with pytest.raises(ValueError, match=message):
        robustness_curve(counted, whole, ZEROS, rng=rng(), **changes)


# Areas.


def scores(*rows):
    return [
        RobustnessScore(share=share, repetition=repetition, metric="corr", value=value)
        for share, repetition, value in rows
    ]


def test_the_area_of_a_constant_curve_is_its_height():
    area = area_under_curve(scores((0.0, 0, 0.4), (0.3, 0, 0.4), (1.0, 0, 0.4)), "corr")
    assert area.value == pytest.approx(0.4)
    assert area.up_to == 1.0


def test_the_area_of_a_line_is_the_mean_of_its_ends_however_it_is_cut():
    rows = [(share, repetition, 0.8 - 0.6 * share + (repetition - 0.5) * 0.1)
            for share in (0.0, 0.1, 0.45, 1.0) for repetition in (0, 1)]  # fmt: skip
    assert area_under_curve(scores(*rows), "corr").value == pytest.approx(0.5)


def test_an_area_ends_where_the_metric_is_undefined():
    rows = [(0.0, 0, 0.8), (0.5, 0, 0.4), (0.5, 1, 0.6), (1.0, 0, None), (1.0, 1, 0.0)]
    area = area_under_curve(scores(*rows), "corr")
    assert area.value == pytest.approx(0.65)
    assert area.up_to == 0.5
    assert area_under_curve(scores((0.0, 0, 0.8), (1.0, 0, None)), "corr").value is None


def test_an_area_of_a_metric_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no score of 'mae'"):
        area_under_curve(scores((0.0, 0, 0.8)), "mae")
