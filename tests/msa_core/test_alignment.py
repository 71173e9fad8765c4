"""Pair alignment: the known answers of design page 1a, and the bounded private mode.

Shapes: B utterances, D = width.
"""

import pytest
import torch

from msa_core.config import PairConfig
from msa_core.config_paths import fields_of
from msa_core.modules.alignment import MEASURES, covariance_alignment, private_term

CROSS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
RISING = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
FALLING = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(11)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(params=sorted(MEASURES))
def measure(request):
    return MEASURES[request.param]


def test_every_measure_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(PairConfig)["measure"]
    assert set(info.choices) == set(MEASURES)
    assert PairConfig().measure in MEASURES


def test_a_measure_of_a_modality_with_itself_is_0(measure, draw):
    rows = draw(9, 4)
    assert measure(rows, rows).item() == 0.0


def test_a_measure_is_a_scalar_never_negative_and_symmetric(measure, draw):
    for _ in range(20):
        first, second = draw(5, 3), draw(5, 3)
        distance = measure(first, second)
        assert distance.shape == ()
        assert distance.item() >= 0
        assert distance.item() == pytest.approx(measure(second, first).item())


def test_a_shift_is_not_seen_by_the_covariance(draw):
    rows = draw(9, 4)
    assert covariance_alignment(rows, rows + draw(1, 4)).item() == pytest.approx(0, abs=1e-28)


def test_a_permutation_of_the_rows_is_not_seen_by_the_covariance(draw):
    rows = draw(9, 4)
    shuffled = rows[torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    assert covariance_alignment(rows, shuffled).item() == pytest.approx(0, abs=1e-28)


def test_doubling_the_cross_gives_a_half():
    assert covariance_alignment(CROSS, 2 * CROSS).item() == pytest.approx(0.5, rel=1e-6)


def test_opposite_diagonals_give_2():
    assert covariance_alignment(RISING, FALLING).item() == pytest.approx(2.0, rel=1e-6)


def test_a_rotation_by_90_degrees_of_the_cross_gives_0():
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert covariance_alignment(CROSS, CROSS @ quarter).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("utterances", "width", "floor", "draws"), [(16, 16, 0.03542, 2000), (32, 128, 0.01626, 300)]
)
def test_independent_noise_has_the_known_floor(draw, utterances, width, floor, draws):
    assert floor == pytest.approx((1 + 1 / width) / (2 * (utterances - 1)), abs=1e-5)
    found = [
        covariance_alignment(draw(utterances, width), draw(utterances, width)).item()
        for _ in range(draws)
    ]
    assert sum(found) / draws == pytest.approx(floor, rel=0.02)


def test_the_gradient_is_the_formula(draw):
    first, second = draw(7, 3).requires_grad_(), draw(7, 3)
    covariance_alignment(first, second).backward()
    centred = first.detach() - first.detach().mean(dim=0)
    difference = torch.cov(first.detach().T) - torch.cov(second.T)
    torch.testing.assert_close(first.grad, centred @ difference / (3**2 * (7 - 1)))


def test_the_gradient_is_the_slope(draw):
    pair = (draw(5, 3).requires_grad_(), draw(5, 3).requires_grad_())
    assert torch.autograd.gradcheck(covariance_alignment, pair)


def test_equal_covariances_have_no_gradient(draw):
    rows = draw(6, 3)
    moved = (rows + 1.0).requires_grad_()
    covariance_alignment(moved, rows).backward()
    assert moved.grad.abs().max() < 1e-15


@pytest.mark.parametrize(
    ("first", "second"), [((1, 3), (1, 3)), ((0, 3), (0, 3)), ((4, 3), (4, 2)), ((4, 3), (5, 3))]
)
def test_fewer_than_two_utterances_or_two_shapes_are_refused(first, second):
    with pytest.raises(ValueError, match=r"two equal shapes \[B >= 2, D\], but got"):
        covariance_alignment(torch.zeros(first), torch.zeros(second))


@pytest.mark.parametrize(
    ("distance", "expected"), [(0.0, 1.0), (0.05, 0.5), (0.1, 0.0), (0.2, 0.0), (1e9, 0.0)]
)
def test_private_falls_from_1_to_0_at_the_margin(distance, expected):
    found = private_term(torch.tensor(distance, dtype=torch.float64), 0.1)
    assert found.item() == pytest.approx(expected)


def test_private_pushes_apart_up_to_the_margin_and_no_further():
    for value, slope in ((0.05, -10.0), (0.2, 0.0)):
        distance = torch.tensor(value, requires_grad=True)
        private_term(distance, 0.1).backward()
        assert distance.grad.item() == pytest.approx(slope)


def test_private_stays_bounded_whatever_the_scale_of_the_features(measure, draw):
    for scale in (1e-6, 1.0, 1e6):
        term = private_term(measure(scale * draw(6, 3), scale * draw(6, 3)), 0.1)
        assert 0 <= term.item() <= 1
