"""The named worlds: the shipped table is the theory, and readouts of the data find the same."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import WORLDS, PlantedConfig
from msa_core.data.planted import generate_planted
from spaces.fields.paths import replace
from tests.cases.planted_theory import FUSIONS, TABLE, expected_r2, expected_table, write_table

SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(MODALITIES, size)]
ROWS, SEEDS = 4000, 4
# Narrow frames keep the pairwise products few; the theory follows the width.
SIZES = {"train": ROWS, "valid": 2, "test": ROWS, "width": 6}


def expected(world, modalities, fusion="additive"):
    (row,) = (
        row for row in expected_table()
        if (row.world, row.modalities, row.fusion) == (world, modalities, fusion)
    )  # fmt: skip
    return row


# --- The table.


def test_the_file_is_the_theory(tmp_path):
    write_table(tmp_path / "table.csv")
    written = (tmp_path / "table.csv").read_bytes()
    assert written == TABLE.read_bytes(), "run: python -m tests.cases.planted_theory"


def test_every_world_subset_and_fusion_has_one_row():
    keys = [(row.world, row.modalities, row.fusion) for row in expected_table()]
    assert len(keys) == len(set(keys)) == len(WORLDS) * len(SUBSETS) * len(FUSIONS)
    for row in expected_table():
        assert 0 < row.r2 < 1
        assert row.pearson == pytest.approx(math.sqrt(row.r2), abs=2e-6)


def test_the_first_worlds_are_those_of_the_issue():
    assert list(WORLDS) == ["additive", "synergy", "null", "text_private", "imbalanced", "noisy"]
    assert WORLDS["synergy"].synergy == 0.6
    assert (WORLDS["null"].shared, WORLDS["null"].text_private) == (0.45, 0.45)
    for config in WORLDS.values():
        assert config.shared + config.text_private + config.synergy + config.noise == (
            pytest.approx(1.0)
        )


@pytest.mark.parametrize("world", WORLDS)
def test_a_multiplicative_fusion_gains_exactly_where_there_is_synergy(world):
    gain = expected(world, "text+audio+vision", "multiplicative").r2
    gain -= expected(world, "text+audio+vision", "additive").r2
    assert gain > 0.05 if WORLDS[world].synergy else gain == 0


def test_what_each_world_is_for():
    everything = "text+audio+vision"
    for world in ("text_private", "imbalanced"):
        assert expected(world, "audio+vision").r2 < expected(world, everything).r2 - 0.4
    # In `imbalanced` audio and vision are of no use beside text; in `additive` each modality is.
    assert expected("imbalanced", "text").r2 > expected("imbalanced", everything).r2 - 0.005
    for pair in ("text+audio", "text+vision", "audio+vision"):
        assert expected("additive", pair).r2 < expected("additive", everything).r2 - 0.05
    assert expected("noisy", everything, "multiplicative").pearson < 0.5


# --- Theory.


def test_unequal_views_add_their_precisions():
    config = replace(WORLDS["additive"], {"shared_noise": 2.0, "text_error": 0.25})
    # Variances .5, 2 and 2: precisions 2 + .5 + .5 = 3.
    assert expected_r2(config, ["text"], False) == pytest.approx(0.9 * 2 / 3)
    assert expected_r2(config, ["audio"], False) == pytest.approx(0.9 * 1 / 3)
    assert expected_r2(config, MODALITIES, False) == pytest.approx(0.9 * 3 / 4)


def test_a_modality_without_error_shows_all_that_is_shared():
    config = replace(WORLDS["additive"], {"text_error": 0.0})
    assert expected_r2(config, ["text", "audio"], False) == pytest.approx(0.9)
    assert expected_r2(config, ["audio"], False) == pytest.approx(0.45)


def test_frame_noise_leaves_less_in_the_means():
    config = PlantedConfig(frame_noise=4.0, width=16, steps=1)  # One frame: an error of variance 1.
    assert expected_r2(config, ["text"], False, pooled=True) == pytest.approx(0.3 / 3 + 0.3 / 2)
    assert expected_r2(config, ["audio", "vision"], True, pooled=True) == pytest.approx(
        0.3 * 1 / 2 + 0.3 / 4
    )
    config = replace(config, {"steps": 2})  # One frame or two: E[1 / length] = 3 / 4.
    assert expected_r2(config, ["audio"], False, pooled=True) == pytest.approx(0.3 / 2.75)
    quiet = replace(config, {"frame_noise": 0.0})
    for subset, fusion in itertools.product(SUBSETS, (False, True)):
        assert expected_r2(quiet, subset, fusion, pooled=True) == (
            expected_r2(config, subset, fusion)
        )


# --- The data.


def after_clipping(config, subset, multiplicative):
    """What is left of the expected share once the label is clipped at two standard deviations.

    Of a normal part f the label keeps the covariance cov(f, y) P(|y| < 2) (Stein's lemma), of the
    product bit E[bit * clip(y)].
    """
    spread = math.sqrt(1 - config.synergy)  # Given the bit, y is normal around +-sqrt(w_x).
    centre = math.sqrt(config.synergy)
    inside = norm.cdf((2 - centre) / spread) - norm.cdf((-2 - centre) / spread)

    def moment(power):
        def integrand(z):
            return np.clip(centre + spread * z, -2, 2) ** power * norm.pdf(z)

        return quad(integrand, -9, 9, points=[(2 - centre) / spread, (-2 - centre) / spread])[0]

    additive = expected_r2(config, subset, False, pooled=True)
    product = expected_r2(config, subset, multiplicative, pooled=True) - additive
    kept = inside**2 * additive
    if product:
        kept += moment(1) ** 2 * product / config.synergy
    return kept / moment(2)


def pooled(split, modality):
    """Mean of the valid frames [N, d]."""
    lengths = split.lengths[modality][:, np.newaxis]
    return split.features[modality].sum(axis=1, dtype=np.float64) / lengths


def inputs(split, subset, multiplicative):
    views = [pooled(split, modality) for modality in subset]
    if multiplicative:
        views += [
            (first[:, :, np.newaxis] * second[:, np.newaxis, :]).reshape(len(first), -1)
            for first, second in itertools.combinations(views, 2)
        ]
    return np.concatenate(views, axis=1)


def ridge_r2(dataset, subset, multiplicative, penalty=1.0):
    """Share of the test labels' variance, and the number of inputs."""
    train, test = (inputs(s, subset, multiplicative) for s in (dataset.splits.train, dataset.test))
    centre, scale = train.mean(axis=0), train.std(axis=0)
    train, test = (train - centre) / scale, (test - centre) / scale
    labels = dataset.splits.train.labels.astype(np.float64)
    normal = train.T @ train + penalty * np.eye(train.shape[1])
    weights = np.linalg.solve(normal, train.T @ (labels - labels.mean()))
    errors = dataset.test.labels - (test @ weights + labels.mean())
    return 1 - np.mean(errors**2) / np.var(dataset.test.labels), train.shape[1]


@pytest.mark.parametrize("world", [*WORLDS, "default"])
def test_readouts_of_the_data_find_the_theory(world):
    config = replace({**WORLDS, "default": PlantedConfig()}[world], SIZES)
    datasets = [generate_planted(replace(config, {"seed": seed})) for seed in range(SEEDS)]
    for subset, multiplicative in itertools.product(SUBSETS, (False, True)):
        found = [ridge_r2(dataset, subset, multiplicative) for dataset in datasets]
        theory = after_clipping(config, subset, multiplicative)
        # Each weight that is fitted costs 1 / N of what is not explained.
        theory -= (1 - theory) * found[0][1] / ROWS
        # Of one R2; four of them, each also with the sampling error of its training rows.
        error = 2 * math.sqrt(theory) * (1 - theory) / math.sqrt(ROWS)
        tolerance = 4 * error / math.sqrt(SEEDS) + 0.002
        measured = float(np.mean([r2 for r2, _ in found]))
        assert measured == pytest.approx(theory, abs=tolerance), (subset, multiplicative)


def test_a_product_costs_variance_where_there_is_no_synergy():
    dataset = generate_planted(replace(WORLDS["null"], SIZES))
    additive, _ = ridge_r2(dataset, MODALITIES, False)
    assert ridge_r2(dataset, MODALITIES, True)[0] < additive + 0.005
