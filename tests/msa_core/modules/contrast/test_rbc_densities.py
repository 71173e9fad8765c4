"""Method 11, relating by contrasting (arXiv 2007.01179): every answer known in advance.

The model of these tests is linear and Gaussian, so all its densities have a closed form: a latent z
of one dimension, and views x = w z + noise.
Shapes: B utterances, S draws, D = width of a view, R repetitions.
"""

import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from msa_core.modules.contrast.densities import (
    Gaussian,
    cubo,
    elbo,
    iwae,
    log_prior,
    mixture_draws,
    product_draws,
    product_of_experts,
)

SEED = 11  # of `draw`

# Loadings and noise variance of the two views; B = 3 utterances of them.
LOADINGS = [
    torch.tensor([1.5, -0.5], dtype=torch.float64),
    torch.tensor([0.7], dtype=torch.float64),
]
VARIANCES = [0.4, 0.9]
VIEWS = [
    torch.tensor([[1.0, 0.2], [-2.0, 1.0], [0.3, 0.0]], dtype=torch.float64),
    torch.tensor([[0.5], [-1.0], [2.0]], dtype=torch.float64),
]


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def expert(view_BD, loading_D, variance):
    """The likelihood of a view as a Gaussian of the latent."""
    squared = loading_D.square().sum()
    mean_B1 = (view_BD @ loading_D / squared)[:, None]
    return Gaussian(mean_B1, (variance / squared).log().expand_as(mean_B1))


def log_likelihood(latent_SB1, view_BD, loading_D, variance):
    mean_SBD = latent_SB1 * loading_D
    return Gaussian(mean_SBD, torch.full_like(mean_SBD, math.log(variance))).log_density(view_BD)


def log_joint(latent_SB1, views=VIEWS, loadings=LOADINGS, variances=VARIANCES):
    parts = zip(views, loadings, variances, strict=True)
    return log_prior(latent_SB1) + sum(log_likelihood(latent_SB1, *part) for part in parts)


def exact(views=VIEWS, loadings=LOADINGS, variances=VARIANCES):
    """Log p(x_1, .., x_M) in closed form, [B]."""
    loading = torch.cat(loadings)
    noise = torch.cat(
        [torch.full_like(one, value) for one, value in zip(loadings, variances, strict=True)]
    )
    covariance = torch.outer(loading, loading) + torch.diag(noise)
    return MultivariateNormal(torch.zeros_like(loading), covariance).log_prob(torch.cat(views, 1))


def experts():
    return [expert(*part) for part in zip(VIEWS, LOADINGS, VARIANCES, strict=True)]


# --- Bounds where the posterior is exact.


@pytest.mark.parametrize("bound", [elbo, iwae, cubo])
@pytest.mark.parametrize("draws", [1, 7])
def test_with_the_true_posterior_every_bound_is_log_p_with_any_number_of_draws(draw, bound, draws):
    """The product of the two experts and the prior is the posterior of this model."""
    latent, log_density = product_draws(experts(), draw(draws, 3, 1))
    torch.testing.assert_close(bound(log_joint(latent), log_density), exact())


# --- Bounds where it is not.


def wrong_posterior():
    """Shifted by a half and of twice the variance."""
    posterior = product_of_experts(experts())
    return Gaussian(posterior.mean + 0.5, posterior.log_variance + math.log(2))


def log_weights(draw, draws):
    """Log p(x, z) and log q(z | x) at draws of the wrong posterior."""
    posterior = wrong_posterior()
    latent = posterior.transform_noise(draw(draws, 3, 1))
    return log_joint(latent), posterior.log_density(latent)


def test_the_elbo_is_log_p_less_the_divergence_from_the_true_posterior(draw):
    """KL(N(m + 1/2, 2 v) || N(m, v)) = [2 + (1/4) / v - 1 - ln 2] / 2."""
    variance = product_of_experts(experts()).log_variance.exp()[:, 0]
    divergence = (2 + 0.25 / variance - 1 - math.log(2)) / 2
    pair = log_weights(draw, 100_000)
    error = (pair[0] - pair[1]).std(dim=0) / math.sqrt(100_000)
    assert error.max() < 0.01
    assert ((elbo(*pair) - (exact() - divergence)).abs() < 4 * error).all()


def test_elbo_is_below_iwae_and_iwae_below_log_p_and_that_below_cubo(draw):
    lower, middle, upper = (bound(*log_weights(draw, 5000)) for bound in (elbo, iwae, cubo))
    assert (lower < middle - 0.1).all()
    torch.testing.assert_close(middle, exact(), rtol=0, atol=0.05)
    assert (upper > exact() + 0.1).all()
    # On average of few draws too, where iwae is not there yet.
    pair = [part.reshape(8, 2500, 3) for part in log_weights(draw, 20_000)]
    means, errors = [], []
    for bound in (elbo, iwae):
        found = bound(*pair)
        means.append(found.mean(dim=0))
        errors.append(found.std(dim=0) / math.sqrt(2500))
    assert (means[0] < means[1]).all()
    assert (means[1] + 4 * errors[1] < exact()).all()


def test_iwae_does_not_fall_with_the_number_of_draws_and_reaches_log_p(draw):
    """Two groups of K draws together are never below their mean: this holds for every draw."""
    log_p, log_q = log_weights(draw, 512 * 200)
    means = []
    for count in (1, 2, 4, 8, 32, 128, 512):
        groups = [part.reshape(-1, count, 3).transpose(0, 1) for part in (log_p, log_q)]
        means.append(iwae(*groups).mean(dim=0))
    torch.testing.assert_close(means[0], elbo(log_p, log_q))
    for fewer, more in itertools.pairwise(means):
        assert (more > fewer).all()
    torch.testing.assert_close(means[-1], exact(), rtol=0, atol=0.01)


def test_cubo_approaches_its_closed_form(draw):
    """Log p + ln(E_q (p(z|x) / q)^2) / 2, with 2 / sqrt(3) exp(1/4 / (3 v)) for this q."""
    variance = product_of_experts(experts()).log_variance.exp()[:, 0]
    squared = 2 / math.sqrt(3) * (0.25 / (3 * variance)).exp()
    found = cubo(*log_weights(draw, 200_000))
    torch.testing.assert_close(found, exact() + squared.log() / 2, rtol=0, atol=0.02)


def test_with_a_mixture_of_experts_iwae_reaches_log_p(draw):
    latent, log_density = mixture_draws(experts(), draw(40_000, 3, 1))
    torch.testing.assert_close(iwae(log_joint(latent), log_density), exact(), rtol=0, atol=0.02)


def test_the_mixture_s_density_averages_over_the_experts_inside_the_logarithm(draw):
    """Far apart each draw has half of its own expert's density; together, all of it."""
    far = [Gaussian(doubles([side]), doubles([0.0])) for side in (-50.0, 50.0)]
    latent, log_density = mixture_draws(far, draw(6, 1, 1))
    own = torch.maximum(*(one.log_density(latent) for one in far))
    torch.testing.assert_close(log_density, own - math.log(2))
    assert (latent > 0).sum() == 3
    latent, log_density = mixture_draws([far[0], far[0]], draw(6, 1, 1))
    torch.testing.assert_close(log_density, far[0].log_density(latent))


# --- Relatedness on a planted shared cause: x = sqrt(rho) s + noise, y too, corr(x, y) = rho.


def views_of_one_cause(draw, utterances, rho):
    shared = draw(utterances, 1)
    return [math.sqrt(rho) * shared + math.sqrt(1 - rho) * draw(utterances, 1) for _ in range(2)]


def log_p(draw, views, rho, present=(1.0, 1.0)):
    """Log density of the views that are there; exact with one draw."""
    loading = doubles(math.sqrt(rho))
    seen = [view for view, here in zip(views, present, strict=True) if here]
    of_seen = [expert(view, loading, 1 - rho) for view in seen]
    latent, log_density = product_draws(of_seen, draw(1, len(views[0]), 1))
    parts = seen, [loading] * len(seen), [1 - rho] * len(seen)
    return iwae(log_joint(latent, *parts), log_density)


def relatedness(draw, views, rho):
    """Log p(x, y) - log p(x) - log p(y)."""
    alone = log_p(draw, views, rho, (1.0, 0.0)) + log_p(draw, views, rho, (0.0, 1.0))
    return log_p(draw, views, rho) - alone


def auc(related, unrelated):
    """How often a related pair scores above an unrelated one."""
    below = torch.searchsorted(unrelated.sort().values, related)
    return (below.double().mean() / len(unrelated)).item()


def test_relatedness_is_on_average_the_mutual_information(draw):
    """-ln(1 - rho^2) / 2 nats."""
    for rho in (0.2, 0.6, 0.9):
        scores = relatedness(draw, views_of_one_cause(draw, 20_000, rho), rho)
        error = scores.std().item() / math.sqrt(len(scores))
        expected = -math.log(1 - rho**2) / 2
        assert error < 0.05 * expected + 0.003
        assert scores.mean().item() == pytest.approx(expected, abs=4 * error)


def test_relatedness_is_the_log_ratio_of_the_analytic_densities(draw):
    """-ln(1 - rho^2) / 2 - [rho^2 (x^2 + y^2) - 2 rho x y] / (2 (1 - rho^2))."""
    for rho in (0.1, 0.7, 0.95):
        views = views_of_one_cause(draw, 50, rho)
        x, y = (view[:, 0] for view in views)
        quadratic = rho**2 * (x**2 + y**2) - 2 * rho * x * y
        expected = -math.log(1 - rho**2) / 2 - quadratic / (2 * (1 - rho**2))
        torch.testing.assert_close(relatedness(draw, views, rho), expected)


# By numpy, from 4 million related and unrelated pairs and the analytic log ratio.
AREAS = {0.1: 0.5250, 0.4: 0.6056, 0.7: 0.7106, 0.95: 0.8756}
# Standard error of an area for 4000 and 4000 pairs that tell nothing: 1 / sqrt(6 * 4000).
AREA_ERROR = 0.0065


def test_relatedness_tells_related_pairs_the_better_the_more_they_share(draw):
    found = []
    for rho, area in AREAS.items():
        first, second = views_of_one_cause(draw, 4000, rho)
        related = relatedness(draw, [first, second], rho)
        unrelated = relatedness(draw, [first, second.roll(1, dims=0)], rho)
        found.append(auc(related, unrelated))
        assert found[-1] == pytest.approx(area, abs=3 * AREA_ERROR)
    assert found == sorted(found)


def test_of_shuffled_pairs_relatedness_tells_nothing(draw):
    first, second = views_of_one_cause(draw, 4000, 0.9)
    one_way = relatedness(draw, [first, second.roll(1, dims=0)], 0.9)
    other_way = relatedness(draw, [first, second.roll(2, dims=0)], 0.9)
    assert auc(one_way, other_way) == pytest.approx(0.5, abs=3 * AREA_ERROR)
