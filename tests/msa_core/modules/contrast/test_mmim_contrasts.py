"""Method 12, MMIM's bound and CPC, as modules: every answer known in advance.

Shapes: B utterances, D = width.
"""

import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.modules.contrast.estimators import class_entropy, cpc

SEED = 12  # of `draw`

CROSS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
ROWS = torch.cat([CROSS, 2 * CROSS])
SIGNS = torch.tensor([1.0, 2.0, 0.5, 3.0, -1.0, -2.0, -0.5, -3.0], dtype=torch.float64)


def identity(predictor, width):
    """Weights that hand their input on, relu(x) - relu(-x) = x, and a log variance of 0."""
    one, weights = torch.eye(width, dtype=torch.float64), {}
    for name, value in predictor.items():
        weights[name] = torch.zeros_like(value).detach()
        if name.endswith("hidden.weight"):
            weights[name] = torch.cat([one, -one])
        elif name.endswith(("mean.weight", "output.weight")):
            weights[name] = torch.cat([one, -one], dim=1)
    return weights


def bound_of_text(contrasting, sized, width, **options):
    """A bound whose text predicts each modality to be what it is itself."""
    bound = contrasting("bound", sized(width), width=2 * width, **options)
    bound.load(identity({name: bound.tensors[name] for name in bound.parameters}, width))
    return bound


@pytest.mark.parametrize("normalised", [False, True])
def test_a_perfect_prediction_leaves_the_entropy_alone(contrasting, sized, seeing, normalised):
    """C+ = diag(1/2, 1/2) and C- = 4 C+: their logarithms cancel."""
    seen = seeing(dict.fromkeys(MODALITIES, ROWS), labels=SIGNS)
    bound = bound_of_text(contrasting, sized, 2, normalised=normalised)
    assert bound(seen, ridge=1e-12).item() == pytest.approx(0.0, abs=1e-9)


def test_what_text_does_not_tell_costs_its_square_by_half(contrasting, sized, seeing):
    """Audio is text moved by (3, 0), vision by (0, 1): 9/2 and 1/2, on average 2.5."""
    moves = {"text": (0.0, 0.0), "audio": (3.0, 0.0), "vision": (0.0, 1.0)}
    rows = {name: ROWS + torch.tensor(move).double() for name, move in moves.items()}
    seen = seeing(rows, labels=SIGNS)
    found = bound_of_text(contrasting, sized, 2)(seen, ridge=1e-12).item()
    assert found == pytest.approx((9 / 2 + 1 / 2) / 2, abs=1e-9)


def test_a_larger_entropy_and_a_better_prediction_make_the_loss_smaller(contrasting, sized, seeing):
    """Scaled by t, a perfect prediction stays one, and the entropy rises by D ln t."""
    bound = bound_of_text(contrasting, sized, 2)
    whole, scaled = (
        bound(
            seeing(dict.fromkeys(MODALITIES, t * ROWS), labels=SIGNS),
            ridge=1e-12,
        ).item()
        for t in (1.0, 5.0)
    )
    # The second sees the rows of the first in its memory.
    bound.load({"memory.labels": torch.zeros(128, dtype=torch.float64)})
    alone = bound(seeing(dict.fromkeys(MODALITIES, 5 * ROWS), labels=SIGNS), ridge=1e-12).item()
    assert alone - whole == pytest.approx(-2 * math.log(5))
    assert alone < scaled < whole


def test_the_entropy_is_of_the_batch_and_of_the_latest_utterances_before_it(
    contrasting, sized, seeing, draw
):
    """A memory of 12 of each modality, in batches of 5."""
    bound = bound_of_text(contrasting, sized, 3, memory=12)
    rows, labels = [draw(5, 3) for _ in range(4)], [draw(5) for _ in range(4)]
    for count in range(4):
        seen = seeing(dict.fromkeys(MODALITIES, rows[count]), labels=labels[count])
        past = torch.cat([torch.zeros(12, 3), *rows[:count]])[-12:]
        past_labels = torch.cat([torch.zeros(12), *labels[:count]])[-12:]
        expected = class_entropy(rows[count], labels[count], past, past_labels, 0.01)
        assert bound(seen).item() == pytest.approx(-expected.item())


def test_the_estimators_go_from_text_to_each_of_the_others(contrasting, sized):
    for used, expected in ((MODALITIES, {"audio", "vision"}), (("text", "vision"), {"vision"})):
        bound = contrasting("bound", sized(4, modalities=used))
        assert {name.split(".")[1] for name in bound.parameters} == expected


def test_log_variances_stay_within_4_whatever_the_vectors(contrasting, sized, draw):
    bound = contrasting("bound", sized(4))
    for estimator in bound.module.estimators.values():
        _, log_variance = estimator(1e6 * draw(50, 4))
        assert log_variance.abs().max() <= 4.0
        assert log_variance.abs().max() > 3.9


def test_a_fusion_that_predicts_its_modalities_gives_the_known_cpc(contrasting, sized, seeing):
    rows = torch.eye(4, 6, dtype=torch.float64)
    contrast = contrasting("cpc", sized(6, fused=6), width=12)
    contrast.load(identity({name: contrast.tensors[name] for name in contrast.parameters}, 6))
    found = contrast(seeing(dict.fromkeys(MODALITIES, rows), fused=rows)).item()
    assert found == pytest.approx(0.743668, abs=5e-7)


def test_cpc_is_the_mean_over_the_modalities(contrasting, sized, seeing, draw):
    fused, rows = draw(5, 7), {name: draw(5, 4) for name in MODALITIES}
    contrast = contrasting("cpc", sized(4, fused=7))
    terms = [cpc(contrast.module.predictors[name](fused), rows[name]).item() for name in MODALITIES]
    assert contrast(seeing(rows, fused=fused)).item() == pytest.approx(sum(terms) / 3)
