"""The bounded private mode of pair alignment, and what every measure refuses."""

import pytest
import torch

from msa_core.config.alignment import CcaOptions
from msa_core.modules.alignment.measures import (
    canonical_distance,
    central_moment_discrepancy,
    contrastive_alignment,
    covariance_alignment,
    covariance_floor,
    mean_discrepancy,
    paired_covariance,
    private_term,
    relational_distance,
)

NUMBERS = {"off_diagonal": 0.01, "bandwidth": 1.0, "temperature": 0.1, "ridge": 0.01}


@pytest.mark.parametrize(
    "measure",
    [
        canonical_distance,
        central_moment_discrepancy,
        contrastive_alignment,
        covariance_alignment,
        mean_discrepancy,
        paired_covariance,
        relational_distance,
        lambda first, second, numbers, options: covariance_floor(first, second),
    ],
)
@pytest.mark.parametrize(
    ("first", "second"), [((1, 3), (1, 3)), ((0, 3), (0, 3)), ((4, 3), (4, 2)), ((4, 3), (5, 3))]
)
def test_fewer_than_two_utterances_or_two_shapes_are_refused(measure, first, second):
    with pytest.raises(ValueError, match=r"two equal shapes \[B >= 2, D\], but got"):
        measure(torch.zeros(first), torch.zeros(second), NUMBERS, CcaOptions())


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
