"""Method 11, relating by contrasting (arXiv 2007.01179), as a module.

Shapes: B utterances, C candidates of each, D = width, M modalities.
"""

import math

import pytest
import torch

from msa_core.modules.contrast.rbc import tuple_contrast

SEED = 11  # of `draw`

PAIR = ["text", "audio"]


# The contrast.


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_with_two_modalities_and_all_others_as_candidates_it_is_the_contrast_of_pairs(draw, gamma):
    density_BB = 3 * draw(5, 5)  # log p(x_i, y_j)
    rows = torch.arange(5)
    own = density_BB.diagonal()
    x_elsewhere = [density_BB[(rows + shift) % 5, rows] for shift in range(1, 5)]
    y_elsewhere = [density_BB[rows, (rows + shift) % 5] for shift in range(1, 5)]
    candidates_CB = torch.stack([own, *x_elsewhere, *y_elsewhere])
    found = tuple_contrast(own, candidates_CB, 2, gamma).item()
    candidates_B = (density_BB.logsumexp(dim=1) + density_BB.logsumexp(dim=0)) / 2
    assert found == pytest.approx((candidates_B - gamma * own).mean().item())


@pytest.mark.parametrize("modalities", [2, 3])
def test_of_candidates_as_likely_as_itself_the_logarithm_of_their_number_is_left(modalities):
    densities = torch.full((1 + 5 * modalities, 4), -7.0)
    found = tuple_contrast(densities[0], densities, modalities, 1.0).item()
    assert found == pytest.approx(math.log(1 + 5))


def test_of_impossible_candidates_1_less_gamma_of_its_own_density_is_left():
    own = torch.tensor([-3.0, -5.0])
    candidates = torch.stack([own, *[own - 1e4] * 4])
    assert tuple_contrast(own, candidates, 2, 2.0).item() == pytest.approx((1 - 2) * -4.0)


# The module.


def flat(rbc):
    """All weights 0: every expert is the prior, every decoder a standard normal."""
    rbc.load({name: torch.zeros_like(rbc.tensors[name]).detach() for name in rbc.parameters})
    return rbc


@pytest.mark.parametrize(
    ("posterior", "bound"), [("mixture", "iwae"), ("mixture", "elbo"), ("product", "elbo")]
)
def test_a_model_that_ignores_its_latent_has_the_density_of_a_standard_normal(
    contrasting, sized, seeing, draw, posterior, bound
):
    """Entries of mean 0 and variance 1: their squares add up to B - 1 each."""
    rows, width = 8, 4
    seen = seeing({name: 5 * draw(rows, width) + 3 for name in PAIR})
    rbc = flat(
        contrasting(
            "rbc", sized(width, modalities=PAIR), posterior=posterior, bound=bound, contrast=False
        )
    )
    squares = 2 * width * (rows - 1) / rows
    known = (squares + 2 * width * math.log(2 * math.pi)) / 2
    if posterior == "mixture":  # of experts, without the prior: standard normal too
        assert rbc(seen).item() == pytest.approx(known)
    else:  # two experts and the prior make a variance of 1/3
        divergence = rbc.module.options.latent * (math.log(3) + 1 / 3 - 1) / 2
        scatter = rbc.module.options.latent / math.sqrt(rows * 6) / 2
        assert rbc(seen).item() == pytest.approx(known + divergence, abs=4 * scatter)


def test_the_scale_and_the_mean_of_a_modality_gain_nothing(contrasting, sized, seeing, draw):
    rows = {name: draw(8, 4) for name in PAIR}
    moved = {name: 0.01 * vectors - 7 for name, vectors in rows.items()}
    rbc = contrasting("rbc", sized(4, modalities=PAIR))
    assert rbc(seeing(moved)).item() == pytest.approx(rbc(seeing(rows)).item())


@pytest.mark.parametrize("posterior", ["mixture", "product"])
def test_the_evidence_bound_is_never_above_the_importance_weighted_one(
    contrasting, sized, seeing, draw, posterior
):
    for seed in range(5):
        seen = seeing({name: draw(8, 4) for name in PAIR})
        elbo, iwae = (
            -contrasting(
                "rbc", sized(4, modalities=PAIR), seed=seed, contrast=False, posterior=posterior,
                bound=bound,
            )(seen).item()
            for bound in ("elbo", "iwae")
        )  # fmt: skip
        assert elbo <= iwae


def test_an_upper_bound_of_the_candidates_makes_the_loss_larger(contrasting, sized, seeing, draw):
    seen = seeing({name: draw(8, 4) for name in PAIR})
    lower, upper = (
        contrasting("rbc", sized(4, modalities=PAIR), negatives=negatives)(seen).item()
        for negatives in ("iwae", "cubo")
    )
    assert lower < upper


@pytest.mark.parametrize(("rows", "candidates"), [(8, 5), (4, 3), (2, 1)])
def test_a_model_that_ignores_its_latent_relates_nothing(
    contrasting, sized, seeing, draw, rows, candidates
):
    """At gamma 1, of vectors of one length, ln(1 + candidates) is left: of 5, or all there are."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(rows // 2)[:, None]
    seen = seeing({name: signs * torch.ones(rows, 4, dtype=torch.float64) for name in PAIR})
    rbc = flat(contrasting("rbc", sized(4, modalities=PAIR), rows=rows))
    assert rbc(seen, gamma=1.0).item() == pytest.approx(math.log(1 + candidates))


@pytest.mark.parametrize("posterior", ["mixture", "product"])
def test_training_relates_what_has_a_common_cause_and_nothing_else(
    contrasting, sized, seeing, draw, posterior
):
    """Two views of one cause, and of two: at gamma 1, on new rows, ln 6 is to know nothing."""
    left = {}
    for shared in (True, False):
        rows, width = 48, 4
        loadings = [draw(2, width) for _ in PAIR]

        def batch(shared=shared, loadings=loadings, rows=rows, width=width):
            cause = draw(rows, 2)
            views = {}
            for name, loading in zip(PAIR, loadings, strict=True):
                own = cause if shared else draw(rows, 2)
                views[name] = own @ loading + 0.3 * draw(rows, width)
            return seeing(views)

        rbc = contrasting(
            "rbc", sized(width, modalities=PAIR), rows=rows, latent=2, width=16, posterior=posterior
        )
        parameters = [rbc.tensors[name] for name in rbc.parameters]
        optimiser = torch.optim.Adam(parameters, lr=0.01)
        for _ in range(100):
            rbc.module.noise.drawn = draw(rows, 6, 2)
            optimiser.zero_grad()
            rbc(batch()).backward()
            optimiser.step()
        with torch.no_grad():
            left[shared] = sum(rbc(batch(), gamma=1.0).item() for _ in range(10)) / 10
    assert left[True] < math.log(6) - 0.2
    assert left[False] > math.log(6) - 0.1
