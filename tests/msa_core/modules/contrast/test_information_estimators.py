"""Method 12, fusion operators, MISA's and MMIM's losses: every answer known in advance.

Shapes: B utterances, D = width, C classes.
"""

import math

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.fusion import FusionConfig
from msa_core.config.kinds import module_of
from msa_core.config.schema import Config
from msa_core.modules.alignment.measures import central_moment_discrepancy
from msa_core.modules.contrast.estimators import (
    class_entropy,
    cpc,
    difference_loss,
    gaussian_log_likelihood,
)
from msa_core.modules.parts.inputs import EncodedBatch

SEED = 12  # of `draw`

ONE_TWO_THREE = [torch.tensor([[float(value)]], dtype=torch.float64) for value in (1, 2, 3)]
# Two uncorrelated columns of signs.
BITS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
CROSS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


# --- Fusion.


def fused(kind, rows, present=None):
    """What an operator without parameters makes of some modalities' vectors."""
    names = MODALITIES[: len(rows)]
    seen = EncodedBatch(
        features={},
        lengths={},
        encoded={},
        projected=dict(zip(names, rows, strict=True)),
        present={} if present is None else dict(zip(names, present, strict=True)),
        labels=rows[0].new_zeros(0),
    )
    operator = module_of(Config, "fusion", kind)(
        names, rows[0].shape[1], getattr(FusionConfig(), kind)
    )
    found, terms = operator(seen)
    assert terms == {}
    return found


def test_concat_puts_the_vectors_side_by_side(draw):
    assert fused("concat", ONE_TWO_THREE).tolist() == [[1, 2, 3]]
    rows = list(draw(3, 5, 4))
    for place, vectors in enumerate(rows):
        assert torch.equal(fused("concat", rows)[:, 4 * place : 4 * (place + 1)], vectors)


def test_sum_fusion_is_the_mean_of_the_modalities_of_the_model(draw):
    assert fused("sum", ONE_TWO_THREE).tolist() == [[2]]
    assert fused("sum", ONE_TWO_THREE[1:]).tolist() == [[2.5]]
    rows = list(draw(3, 5, 4))
    torch.testing.assert_close(fused("sum", rows), (rows[0] + rows[1] + rows[2]) / 3)


def test_sum_fusion_is_the_mean_of_the_modalities_that_an_utterance_has():
    """Absent vectors come in as zeros: (1, 2, 3), (1, 3), (3) and none."""
    present = doubles([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0])
    rows = [value * here[:, None] for value, here in zip((1.0, 2.0, 3.0), present, strict=True)]
    assert fused("sum", rows, present).flatten().tolist() == [2.0, 2.0, 3.0, 0.0]


def test_the_tensor_product_of_1_2_and_3_is_known():
    found = fused("tfn", ONE_TWO_THREE)
    assert sorted(found[0].tolist()) == [1, 1, 2, 2, 3, 3, 6, 6]
    assert found.sum().item() == 24 == (1 + 1) * (1 + 2) * (1 + 3)


def test_the_tensor_product_of_two_modalities_has_their_product():
    assert sorted(fused("tfn", ONE_TWO_THREE[1:])[0].tolist()) == [1, 2, 3, 6]


def test_the_tensor_product_of_one_modality_is_it_and_a_one():
    assert fused("tfn", ONE_TWO_THREE[2:]).tolist() == [[1, 3]]


def test_the_tensor_product_is_the_outer_product_of_the_extended_vectors(draw):
    rows = list(draw(3, 5, 2))
    extended = [np.concatenate([np.ones((5, 1)), vectors.numpy()], axis=1) for vectors in rows]
    outer = np.einsum("bi,bj,bk->bijk", *extended).reshape(5, (2 + 1) ** 3)
    np.testing.assert_allclose(fused("tfn", rows).numpy(), outer, rtol=1e-12)


def explained_by_a_line(columns, labels):
    """R^2 of least squares with an intercept."""
    columns = torch.cat([torch.ones_like(columns[:, :1]), columns], dim=1)
    rest = labels - columns @ torch.linalg.pinv(columns) @ labels
    return 1 - (rest.square().sum() / (labels - labels.mean()).square().sum()).item()


@pytest.mark.parametrize(("kind", "known"), [("concat", 0.0), ("sum", 0.0), ("tfn", 1.0)])
def test_only_the_tensor_product_lets_a_linear_head_read_a_product(kind, known):
    """XOR of two signs is their product; with it, the tensor product's head explains all of it."""
    columns = fused(kind, [BITS[:, :1], BITS[:, 1:]])
    found = explained_by_a_line(columns, BITS[:, :1] * BITS[:, 1:])
    assert found == pytest.approx(known, abs=1e-12)


# --- MISA: central moment discrepancy.


def test_cmd_of_equal_sides_is_0(draw):
    rows = draw(6, 3)
    assert central_moment_discrepancy(rows, rows).item() == 0.0
    shuffled = central_moment_discrepancy(rows, rows.roll(2, dims=0)).item()
    assert shuffled == pytest.approx(0.0, abs=1e-12)


def test_cmd_of_a_shift_by_0_3_in_two_dimensions_is_the_length_of_the_shift(draw):
    rows = draw(6, 2)
    found = central_moment_discrepancy(rows, rows + 0.3).item()
    assert found == pytest.approx(0.3 * math.sqrt(2), rel=1e-9)
    assert found == pytest.approx(0.424264, abs=5e-7)


def test_cmd_of_points_at_half_and_of_the_same_halved_is_known():
    """Variances 1/4 and 1/16, fourth moments 1/16 and 1/256, in both coordinates."""
    points = doubles([0.5, 0.5], [-0.5, -0.5])
    found = central_moment_discrepancy(points, points / 2).item()
    assert found == pytest.approx(math.sqrt(2) * (3 / 16 + 15 / 256), rel=1e-12)
    assert found == pytest.approx(0.348029, abs=5e-7)


def test_cmd_is_the_formula_with_5_moments(draw):
    first, second = draw(7, 3).sigmoid().numpy(), draw(7, 3).sigmoid().numpy() ** 2
    expected = np.linalg.norm(first.mean(0) - second.mean(0))
    for order in range(2, 6):
        moments = [((side - side.mean(0)) ** order).mean(0) for side in (first, second)]
        expected += np.linalg.norm(moments[0] - moments[1])
    found = central_moment_discrepancy(torch.tensor(first), torch.tensor(second)).item()
    assert found == pytest.approx(expected, rel=1e-9)


# --- MISA: difference loss. Its rows are divided by their length + 1e-6.


def test_uncorrelated_factors_have_no_difference_loss():
    along = [torch.cat([column, 0 * column], dim=1) for column in (BITS[:, :1], BITS[:, 1:])]
    # Even on the very same axis: it is correlation, not angle.
    assert difference_loss(*along).item() == pytest.approx(0.0, abs=1e-12)


def test_perfectly_correlated_codes_on_orthogonal_axes_have_a_difference_loss_of_1():
    first = doubles([1.0, 0.0], [-1.0, 0.0])
    second = first.flip(1)
    assert (first * second).sum() == 0
    assert difference_loss(first, second).item() == pytest.approx(1.0, abs=1e-5)
    assert difference_loss(first, -second).item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("times", [1, 2, 8])
@pytest.mark.parametrize("zeros", [0, 2, 6])
def test_the_difference_loss_grows_with_b_squared_over_d_squared(times, zeros):
    first = doubles([1.0, 0.0], [-1.0, 0.0]).repeat(times, 1)
    codes = [torch.nn.functional.pad(code, (0, zeros)) for code in (first, first.flip(1))]
    expected = (2 * times) ** 2 / (2 + zeros) ** 2
    assert difference_loss(*codes).item() == pytest.approx(expected, rel=1e-5)


def test_the_difference_loss_sees_neither_scale_nor_shift(draw):
    first, second = draw(6, 3), draw(6, 3)
    whole = difference_loss(first, second).item()
    moved = difference_loss(1000 * first + 5.0, 7 * second - 2.0).item()
    assert moved == pytest.approx(whole, rel=1e-4)


# --- MMIM: likelihood, entropy, CPC.


@pytest.mark.parametrize("normalised", [False, True])
def test_a_perfect_prediction_with_logvar_0_has_the_log_likelihood_0(draw, normalised):
    target = draw(5, 3)
    found = gaussian_log_likelihood(target, torch.zeros_like(target), target, normalised=normalised)
    assert found.item() == 0.0


@pytest.mark.parametrize(
    ("normalised", "known"), [(False, -1.0 - 0.25), (True, -1.25 - math.log(2))]
)
def test_the_log_likelihood_is_the_formula(normalised, known):
    """Errors 2 and 1 with the variance 2: -4/4 - 1/4, and -ln(2)/2 in each dimension."""
    mean, target = doubles([0.0, 3.0], [5.0, -1.0]), doubles([2.0, 4.0], [4.0, 1.0])
    log_variance = torch.full((2, 2), math.log(2), dtype=torch.float64)
    found = gaussian_log_likelihood(mean, log_variance, target, normalised=normalised)
    assert found.item() == pytest.approx(known, rel=1e-12)


def test_without_the_normaliser_a_large_variance_costs_nothing():
    """Why the omitted -logvar / 2 matters: a useless prediction gets the value of a perfect one."""
    useless, target = doubles([0.0]), doubles([3.0])
    for log_variance, omitted, full in ((0.0, -4.5, -4.5), (40.0, 0.0, -20.0)):
        spread = doubles([log_variance])
        for normalised, known in ((False, omitted), (True, full)):
            found = gaussian_log_likelihood(useless, spread, target, normalised=normalised)
            assert found.item() == pytest.approx(known, abs=1e-9)
    # With it, the best variance is the squared error.
    best = math.log(9)
    values = [
        gaussian_log_likelihood(useless, doubles([at]), target, normalised=True).item()
        for at in (best - 0.1, best, best + 0.1)
    ]
    assert max(values) == values[1] == pytest.approx(-(1 + math.log(9)) / 2)


EMPTY = doubles([0.0, 0.0]).expand(3, 2), doubles(0.0, 0.0, 0.0)
SIGNS = doubles(1.0, 2.0, 0.5, 3.0, -1.0, -2.0, -0.5, -3.0)


def test_the_entropy_is_a_quarter_of_both_classes_log_determinants():
    """C+ = diag(1/2, 1/2) and C- = 4 C+: determinants 1/4 and 4, whose logarithms cancel."""
    rows = torch.cat([CROSS, 2 * CROSS])
    assert class_entropy(rows, SIGNS, *EMPTY, 1e-12).item() == pytest.approx(0.0, abs=1e-9)
    rows = torch.cat([CROSS, CROSS + 10.0])
    expected = 2 * math.log(1 / 4) / 4
    assert class_entropy(rows, SIGNS, *EMPTY, 1e-12).item() == pytest.approx(expected, rel=1e-9)


def test_the_entropy_is_the_gaussian_one_but_for_constants():
    """Scaling by t adds D ln t: each class half of it, as the entropy of a normal does."""
    rows = torch.cat([CROSS, 3 * CROSS - 1.0])
    whole, scaled = (class_entropy(t * rows, SIGNS, *EMPTY, 1e-12).item() for t in (1.0, 5.0))
    assert scaled - whole == pytest.approx(2 * math.log(5), rel=1e-9)


def test_rows_of_the_memory_count_as_those_of_the_batch_do():
    rows = torch.cat([CROSS, 2 * CROSS])
    whole = class_entropy(rows, SIGNS, *EMPTY, 1e-6)
    in_parts = class_entropy(rows[::2], SIGNS[::2], rows[1::2], SIGNS[1::2], 1e-6)
    assert in_parts.item() == pytest.approx(whole.item(), abs=1e-12)


def test_matched_orthonormal_rows_give_the_known_cpc():
    rows = torch.eye(4, 6, dtype=torch.float64)
    found = cpc(rows, rows).item()
    assert found == pytest.approx(math.log(math.e + 3) - 1, rel=1e-12)
    assert found == pytest.approx(0.743668, abs=5e-7)


def test_without_a_temperature_cpc_stays_above_its_floor():
    """Cosines of -1 at best: ln(1 + (B - 1) e^-2), reached by two opposite rows."""
    opposite = doubles([3.0, 0.0], [-0.1, 0.0])
    assert cpc(opposite, opposite).item() == pytest.approx(math.log1p(math.exp(-2)), rel=1e-12)


def test_cpc_makes_both_sides_of_length_1_and_looks_for_the_fusion_of_a_modality(draw):
    predicted, modality = draw(5, 3), draw(5, 3)
    cosines = torch.nn.functional.cosine_similarity(modality[:, None], predicted[None], dim=2)
    expected = torch.nn.functional.cross_entropy(cosines, torch.arange(5)).item()
    assert cpc(10 * predicted, 0.1 * modality).item() == pytest.approx(expected, rel=1e-9)
