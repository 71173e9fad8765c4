"""The decomposition's laws, and its estimates from utterances."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from msa_core.analysis.binning import label_classes
from msa_core.analysis.information import entropy_bits, mutual_information
from msa_core.analysis.pid import (
    PARTS,
    RESAMPLED_TOLERANCE,
    _shuffle_labels,
    decompose_joint,
    measure_interactions,
)
from msa_core.config.planted import PlantedConfig
from msa_core.data import planted as generator
from spaces.fields.paths import replace

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXACT = 2e-7  # bits: two certificates of 1e-7
WORLDS = {
    "equal": {},
    "null": {"shared": 0.45, "text_private": 0.45, "synergy": 0.0},
    "synergy": {"shared": 0.15, "text_private": 0.15, "synergy": 0.6},
}


@st.composite
def counts(draw, largest=4):
    shape = tuple(draw(st.integers(1, largest)) for _ in range(3))
    size = int(np.prod(shape))
    numbers = st.lists(st.integers(0, 9), min_size=size, max_size=size).filter(any)
    return np.array(draw(numbers)).reshape(shape)


def parts(joint):
    found = decompose_joint(joint)
    return np.array([found.redundancy, found.unique_first, found.unique_second, found.synergy])


@LAW
@given(counts())
def test_the_parts_add_up_to_the_three_informations_and_none_is_negative(table):
    joint = table / table.sum()
    x, z, y = joint.shape
    found = decompose_joint(table)
    assert parts(table).min() >= 0
    redundancy = found.redundancy
    of_first = mutual_information(joint.sum(axis=1))
    of_second = mutual_information(joint.sum(axis=0))
    assert redundancy + found.unique_first == pytest.approx(of_first, abs=1e-12)
    assert redundancy + found.unique_second == pytest.approx(of_second, abs=1e-12)
    both = mutual_information(joint.reshape(x * z, y))
    assert found.total == pytest.approx(both, abs=1e-12)


@LAW
@given(counts())
def test_swapping_the_modalities_swaps_what_is_unique(table):
    swapped = parts(table.swapaxes(0, 1))
    np.testing.assert_allclose(swapped[[0, 2, 1, 3]], parts(table), atol=EXACT)


@LAW
@given(counts(), st.integers(0, 2**31))
def test_other_numbers_for_the_bins_change_nothing(table, seed):
    rng = np.random.default_rng(seed)
    relabelled = table[rng.permutation(table.shape[0])]
    relabelled = relabelled[:, rng.permutation(table.shape[1])]
    relabelled = relabelled[:, :, rng.permutation(table.shape[2])]
    np.testing.assert_allclose(parts(relabelled), parts(table), atol=EXACT)


@LAW
@given(counts())
def test_bins_that_never_occur_and_the_size_of_the_sample_change_nothing(table):
    padded = np.pad(5 * table, ((0, 1), (1, 0), (0, 1)))
    np.testing.assert_allclose(parts(padded), parts(table), atol=EXACT)


@LAW
@given(counts())
def test_splitting_a_bin_at_random_changes_nothing(table):
    """Half of every bin of X1 gets another number, whatever the label."""
    split = np.concatenate([table, table]) / 2
    np.testing.assert_allclose(parts(split), parts(table), atol=EXACT)


@LAW
@given(counts(), st.integers(0, 2**31))
def test_a_noisy_copy_of_the_other_modality_adds_nothing(table, seed):
    """Y - X1 - X2: the second has nothing of its own, and nothing arises from both."""
    channel = np.random.default_rng(seed).dirichlet(np.full(3, 0.5), table.shape[0])
    first_label = table.sum(axis=1) / table.sum()
    joint = channel[:, :, np.newaxis] * first_label[:, np.newaxis]
    redundancy, _, unique_second, synergy = parts(joint)
    of_second = mutual_information(joint.sum(axis=0))
    assert [unique_second, synergy] == pytest.approx([0, 0], abs=EXACT)
    assert redundancy == pytest.approx(of_second, abs=EXACT)


@LAW
@given(counts())
def test_modalities_that_are_alike_have_nothing_unique(table):
    square = np.zeros((4, 4, table.shape[2]))
    square[: table.shape[0], : table.shape[1]] = table
    assert parts(square + square.swapaxes(0, 1))[[1, 2]] == pytest.approx([0, 0], abs=EXACT)


def test_the_parts_of_two_independent_problems_add_up():
    rng = np.random.default_rng(0)
    one, other = (rng.dirichlet(np.full(8, 0.7)).reshape(2, 2, 2) for _ in range(2))
    product = np.einsum("abc,ijk->aibjck", one, other).reshape(4, 4, 4)
    np.testing.assert_allclose(parts(product), parts(one) + parts(other), atol=1e-6)


@pytest.mark.parametrize(
    ("joint", "match"),
    [
        (np.ones((2, 2)), "3 axes"),
        (np.zeros((2, 2, 2)), "not all 0"),
        (np.full((2, 2, 2), -1.0), "not negative"),
        (np.full((2, 2, 2), np.nan), "finite"),
    ],
)
def test_what_is_no_distribution_is_refused(joint, match):
    with pytest.raises(ValueError, match=match):
        decompose_joint(joint)


def test_entropy_and_information_known_answers():
    assert entropy_bits(np.array([0.25, 0.25, 0.5, 0.0])) == pytest.approx(1.5)
    noisy = np.array([[0.4, 0.1], [0.1, 0.4]])
    assert mutual_information(noisy) == pytest.approx(1 - entropy_bits(np.array([0.2, 0.8])))
    assert mutual_information(np.outer([0.3, 0.7], [0.1, 0.9])) == pytest.approx(0, abs=1e-15)


# --- From utterances.


def noisy_xor(utterances, rng, noise=0.2):
    first, second = rng.integers(0, 2, (2, utterances))
    return first, second, (first ^ second) ^ (rng.random(utterances) < noise)


def test_an_interaction_is_found_with_the_size_that_it_has():
    rng = np.random.default_rng(1)
    found = measure_interactions(*noisy_xor(1000, rng), bins=2, rng=rng)
    truth = 1 - entropy_bits(np.array([0.2, 0.8]))
    assert found.synergy.low <= truth <= found.synergy.high
    assert found.synergy.p == 1 / 1000
    assert found.synergy.null_high < 0.1 * truth
    assert found.cells == (2, 2, 2)
    assert found.utterances == 1000
    for part in PARTS[:4]:
        assert getattr(found, part).plug_in == getattr(found.estimate, part)


def test_the_same_generator_gives_the_same_digits():
    def run(seed):
        rng = np.random.default_rng(seed)
        views = np.random.default_rng(9).standard_normal((2, 60, 3))
        labels = np.random.default_rng(8).integers(0, 2, 60)
        return asdict(
            measure_interactions(*views, labels, bins=3, rng=rng, permutations=20, draws=20)
        )

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = 1 - entropy_bits(np.array([0.2, 0.8]))
    covered = 0
    for _ in range(100):
        found = measure_interactions(
            *noisy_xor(300, rng), bins=2, rng=rng, permutations=1, draws=200
        )
        covered += found.synergy.low <= truth <= found.synergy.high
    # 95 % are meant; 88 or fewer of 100 would be seen with a probability of .004.
    assert covered > 88


def test_labels_that_know_nothing_are_significant_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    rejected = dict.fromkeys(PARTS, 0)
    for _ in range(200):
        first, second, labels = rng.integers(0, 2, (3, 80))
        found = measure_interactions(
            first, second, labels, bins=2, rng=rng, permutations=39, draws=1
        )
        for part in PARTS:
            p = getattr(found, part).p
            assert 1 / 40 <= p <= 1
            rejected[part] += p <= 0.05
    most = stats.binom.ppf(0.999, 200, 0.05)
    assert all(count <= most for count in rejected.values()), rejected
    # And the test is not just always silent.
    assert rejected["total"] >= stats.binom.ppf(0.001, 200, 0.05)


def test_shuffled_tables_keep_the_modalities_together_and_every_label():
    rng = np.random.default_rng(0)
    table = rng.integers(0, 6, (3, 4, 2))
    shuffled = _shuffle_labels(table, 50, rng)
    assert shuffled.shape == (50, 3, 4, 2)
    assert (shuffled.sum(axis=3) == table.sum(axis=2)).all()
    assert (shuffled.sum(axis=(1, 2)) == table.sum(axis=(0, 1))).all()
    # Their mean is that of independence.
    expected = table.sum(axis=2)[..., np.newaxis] * table.sum(axis=(0, 1)) / table.sum()
    assert np.abs(shuffled.mean(axis=0) - expected).max() < 1.0


def test_a_tie_with_a_shuffle_counts_against_the_effect():
    """Constant labels: every shuffle is the data themselves."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2, (2, 30))
    found = measure_interactions(
        first, second, np.zeros(30, int), bins=2, rng=rng, permutations=9, draws=9
    )
    for part in PARTS:
        quantity = getattr(found, part)
        assert quantity.p == 1.0
        assert quantity.plug_in == pytest.approx(0, abs=1e-12)
        assert quantity.high == pytest.approx(0, abs=RESAMPLED_TOLERANCE)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"classes": np.linspace(0, 1, 30)}, "label_classes"),
        ({"classes": np.zeros(29, int)}, "same N"),
        ({"first": np.full(30, np.nan)}, "row 0"),
        ({"permutations": 0}, "at least 1 permutation"),
        ({"draws": 0}, "1 draw"),
    ],
)
def test_what_can_not_be_analysed_is_refused(change, match):
    rng = np.random.default_rng(0)
    given = {
        "first": rng.standard_normal(30),
        "second": rng.standard_normal(30),
        "classes": np.arange(30) % 2,
        "bins": 3,
        "rng": rng,
    }
    with pytest.raises(ValueError, match=match):
        measure_interactions(**(given | change))


# --- In generated data, whose right answers are known.


def planted_views(world, utterances=2000):
    """The features' means over time, and the bit that is planted in audio and in vision."""
    config = replace(PlantedConfig(train=utterances, valid=2, test=2), WORLDS[world])
    split = generator.generate_planted(config).splits.train
    pooled = {
        name: split.features[name].sum(axis=1, dtype=np.float64) / split.lengths[name][:, None]
        for name in ("audio", "vision")
    }
    # The third direction of both modalities carries the bit.
    bits = {
        name: (rows @ generator._mixing_directions(config, name, 3)[2] > 0).astype(int)
        for name, rows in pooled.items()
    }
    return config, pooled, bits, label_classes(split.labels, "mosi", 2)


@pytest.mark.parametrize("world", ["equal", "synergy"])
def test_planted_synergy_is_found_with_its_theoretical_size(world):
    """The label has the sign of the bits' product with probability Phi(sqrt(w / (1 - w)))."""
    config, _, bits, classes = planted_views(world)
    rng = np.random.default_rng(0)
    found = measure_interactions(
        bits["audio"], bits["vision"], classes, bins=2, rng=rng, permutations=199, draws=300
    )
    agree = stats.norm.cdf(math.sqrt(config.synergy / (1 - config.synergy)))
    theory = 1 - entropy_bits(np.array([agree, 1 - agree]))
    assert found.synergy.low <= theory <= found.synergy.high
    assert found.synergy.p == 1 / 200
    assert found.synergy.plug_in > 0.9 * found.total.plug_in


def test_in_the_null_world_the_bits_synergy_is_that_of_shuffled_labels():
    _, _, bits, classes = planted_views("null")
    rng = np.random.default_rng(0)
    found = measure_interactions(
        bits["audio"], bits["vision"], classes, bins=2, rng=rng, permutations=199, draws=200
    )
    for part in PARTS:
        quantity = getattr(found, part)
        assert quantity.plug_in <= quantity.null_high
        assert quantity.p > 0.05
        assert quantity.low == 0.0


def test_clusters_of_the_features_find_the_planted_synergy_without_being_told_of_the_bits():
    def run(world):
        _, pooled, _, classes = planted_views(world)
        rng = np.random.default_rng(0)
        return measure_interactions(
            pooled["audio"], pooled["vision"], classes, bins=4, rng=rng, permutations=99, draws=99
        )

    with_synergy, without = run("synergy"), run("null")
    assert with_synergy.synergy.low > 10 * without.synergy.high
    # What all modalities share is redundant there, and more so.
    assert without.redundancy.corrected > without.synergy.corrected


def test_two_noisy_views_of_one_thing_are_synergistic_too():
    """What the module warns of: this is no interaction, and its synergy is not 0."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(4000)
    views = shared + rng.standard_normal((2, 4000))
    found = measure_interactions(
        *views, (shared > 0).astype(int), bins=4, rng=rng, permutations=99, draws=99
    )
    assert found.synergy.low > found.synergy.null_high
    assert found.redundancy.low > found.synergy.high
