"""Method 5, alternating unimodal adaptation (MLA, CVPR 2024): every answer known in advance.

Shapes: D = width of a modality at the head, M modalities, B utterances.
"""

import math

import pytest
import torch

from msa_core.modules.contrast.estimators import entropy_weights, softmax_entropy
from msa_core.procedures.gradient_modification import projected_gradient, rls_alpha, rls_update

SEED = 5  # of `draw`

VANISHING = 1e-12


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def identity():
    return torch.eye(2, dtype=torch.float64)


def test_a_modality_along_the_first_axis_leaves_a_known_projection(identity):
    found = rls_update(identity, doubles(1.0, 0.0), 0.1)
    torch.testing.assert_close(found, torch.diag(doubles(1 / 11, 1.0)))
    assert found[0, 0].item() == pytest.approx(0.090909, abs=5e-7)


def test_the_gradient_3_4_becomes_a_known_one(identity):
    projection = rls_update(identity, doubles(1.0, 0.0), 0.1)
    found = projected_gradient(doubles([3.0, 4.0]), projection)
    assert found[0].tolist() == pytest.approx([0.272727, 4.0], abs=5e-7)


def test_for_a_vanishing_alpha_it_is_the_projector_off_the_mean_vector(identity):
    mean = doubles(3.0, 4.0)
    found = rls_update(identity, mean, VANISHING)
    torch.testing.assert_close(found, doubles([0.64, -0.48], [-0.48, 0.36]))
    torch.testing.assert_close(found @ mean, doubles(0.0, 0.0))
    # A projector: doing it twice is doing it once.
    torch.testing.assert_close(found @ found, found)


def test_a_large_alpha_changes_nothing(identity):
    torch.testing.assert_close(rls_update(identity, doubles(3.0, 4.0), 1e12), identity)


def test_the_updates_are_recursive_least_squares(draw):
    """P after any number of steps is (I + sum h h^T / alpha)^-1: Sherman and Morrison."""
    projection = torch.eye(4, dtype=torch.float64)
    inverse = torch.eye(4, dtype=torch.float64)
    for step in range(5):
        mean, alpha = draw(4), 0.1 * 2.0**-step
        projection = rls_update(projection, mean, alpha)
        inverse += torch.outer(mean, mean) / alpha
    torch.testing.assert_close(projection, torch.linalg.inv(inverse))


def test_what_the_head_says_of_modalities_seen_before_is_left_alone(draw):
    """With alpha -> 0 a step along grad P moves no output at the earlier mean vectors."""
    projection = torch.eye(5, dtype=torch.float64)
    seen = draw(3, 5)
    for mean in seen:
        projection = rls_update(projection, mean, VANISHING)
    gradient = draw(2, 5)
    step = projected_gradient(gradient, projection)
    assert (step @ seen.T).abs().max() < 1e-5
    assert (gradient @ seen.T).abs().max() > 0.1
    # Off the seen ones it moves as before.
    other = torch.linalg.svd(seen).Vh[-1]
    torch.testing.assert_close(step @ other, gradient @ other)


@pytest.mark.parametrize(
    ("step", "alpha"), [(0, 0.1), (7, 0.1**1.7), (10, 0.01), (20, 0.001), (30, 0.0001)]
)
def test_alpha_falls_from_a_tenth_by_a_factor_of_10_an_epoch(step, alpha):
    assert rls_alpha(step, 10) == pytest.approx(alpha, rel=1e-12)


def test_the_entropies_0_and_ln_2_give_two_thirds_and_one_third():
    found = entropy_weights(doubles([0.0], [math.log(2)]))
    assert found[:, 0].tolist() == pytest.approx([2 / 3, 1 / 3], rel=1e-12)


def test_the_weights_are_the_softmax_of_what_is_missing_to_the_largest_entropy(draw):
    entropies = draw(3, 6).abs()
    certainty = (entropies.max(dim=0).values - entropies).exp()
    torch.testing.assert_close(entropy_weights(entropies), certainty / certainty.sum(dim=0))


def test_equal_entropies_weigh_the_same():
    assert entropy_weights(doubles([0.7], [0.7], [0.7])).flatten().tolist() == pytest.approx(
        [1 / 3] * 3
    )


def test_a_prediction_that_is_sure_has_no_entropy_and_one_that_knows_nothing_ln_c():
    found = softmax_entropy(doubles([50.0, -50.0], [0.3, 0.3]))
    assert found.tolist() == pytest.approx([0.0, math.log(2)], abs=1e-12)
    assert softmax_entropy(torch.zeros(1, 7, dtype=torch.float64)).item() == pytest.approx(
        math.log(7)
    )


def test_an_entropy_is_of_an_utterance_s_own_logits_not_of_the_batch():
    logits = doubles([50.0, -50.0], [50.0, -50.0], [0.0, 0.0])
    assert softmax_entropy(logits).tolist() == pytest.approx([0.0, 0.0, math.log(2)], abs=1e-12)


def test_a_sure_modality_gets_two_thirds_beside_one_that_does_not_know():
    per_modality = [softmax_entropy(doubles([50.0, -50.0])), softmax_entropy(doubles([0.0, 0.0]))]
    found = entropy_weights(torch.stack(per_modality))
    assert found[:, 0].tolist() == pytest.approx([2 / 3, 1 / 3], rel=1e-12)
