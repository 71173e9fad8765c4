"""Pair alignment: what every measure promises, and the bounded private mode.

Shapes: B utterances, D = width.
"""

import pytest
import torch

from msa_core.config import PairConfig
from msa_core.config_paths import fields_of
from msa_core.modules.alignment import MEASURES, covariance_alignment, private_term


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
