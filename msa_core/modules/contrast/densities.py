"""A joint generative model of modalities, and a loss that contrasts its densities.

Shapes: M modalities, B utterances, Z = width of the latent, S draws of it, D and E = widths of two
modalities, P = B * B pairs. Densities are natural logarithms. Posteriors are Gaussian with a
diagonal covariance, or mixtures of such; the prior of the latent is standard normal.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from msa_core.modules.parts.similarity import Number


class Gaussian(NamedTuple):
    """Mean and log variance, two tensors of one shape."""

    mean: Tensor
    log_variance: Tensor

    def log_density(self, value: Tensor) -> Tensor:
        """Of the value, summed over the last dimension; shapes broadcast."""
        squared = (value - self.mean).square() * (-self.log_variance).exp()
        return -(squared + self.log_variance + math.log(2 * math.pi)).sum(dim=-1) / 2

    def at(self, noise: Tensor) -> Tensor:
        """What standard normal noise becomes, with the gradient of mean and variance."""
        return self.mean + (self.log_variance / 2).exp() * noise


class Draws(NamedTuple):
    """Draws of a posterior q(z | x_1 .. x_M), and the density that they were drawn with."""

    latent_SBZ: Tensor
    log_density_SB: Tensor


def log_prior(latent_SBZ: Tensor) -> Tensor:
    """Density of the latent under its standard normal prior, [S, B]."""
    return -(latent_SBZ.square() + math.log(2 * math.pi)).sum(dim=-1) / 2


def product_of_experts(experts: Sequence[Gaussian], present_MB: Tensor | None = None) -> Gaussian:
    """The normalised product of the prior and the modalities' experts.

    Formula: precision = 1 + sum_m mu_m exp(-logvar_m), mean = sum_m mu_m exp(-logvar_m) mean_m /
    precision.

    Args:
        experts: one a modality, each [B, Z].
        present_MB: mu, 1 where the modality is there; None = all are. Others leave the product.

    Returns:
        The posterior, [B, Z].
    Source: Wu & Goodman 2018 (MVAE).
    """
    precision_BZ = torch.ones_like(experts[0].mean)
    weighted_BZ = torch.zeros_like(experts[0].mean)
    for m, expert in enumerate(experts):
        own_BZ = (-expert.log_variance).exp()
        if present_MB is not None:
            own_BZ = own_BZ * present_MB[m][:, None]
        precision_BZ = precision_BZ + own_BZ
        weighted_BZ = weighted_BZ + own_BZ * expert.mean
    return Gaussian(weighted_BZ / precision_BZ, -precision_BZ.log())


def product_draws(
    experts: Sequence[Gaussian], noise_SBZ: Tensor, present_MB: Tensor | None = None
) -> Draws:
    """Draws of the product of experts.

    Args:
        experts: one a modality, each [B, Z].
        noise_SBZ: standard normal.
        present_MB: as of `product_of_experts`.
    """
    posterior = product_of_experts(experts, present_MB)
    latent_SBZ = posterior.at(noise_SBZ)
    return Draws(latent_SBZ, posterior.log_density(latent_SBZ))


def mixture_draws(
    experts: Sequence[Gaussian], noise_SBZ: Tensor, present_MB: Tensor | None = None
) -> Draws:
    """Draws of the equal mixture of experts, as many of each: S / M in turn.

    The density of a draw is that of the whole mixture, log (1/M) sum_m q_m, not of its own expert.

    Args:
        experts: one a modality, each [B, Z].
        noise_SBZ: standard normal; M must divide S.
        present_MB: 1 where the modality is there; None = all are. The prior takes the place of the
            others' experts.

    Raises:
        ValueError: S is no multiple of M.
    Source: Shi et al. 2019 (MMVAE), stratified as in its public code.
    """
    count = len(experts)
    if len(noise_SBZ) % count:
        raise ValueError(
            f"mixture_draws takes the {count} experts in turn, so it needs a multiple of {count} "
            f"draws, but got {len(noise_SBZ)}"
        )
    if present_MB is not None:
        experts = [_or_prior(expert, present_MB[m]) for m, expert in enumerate(experts)]
    latent_SBZ = torch.cat([expert.at(noise_SBZ[m::count]) for m, expert in enumerate(experts)])
    log_densities_MSB = torch.stack([expert.log_density(latent_SBZ) for expert in experts])
    return Draws(latent_SBZ, log_densities_MSB.logsumexp(dim=0) - math.log(count))


def _or_prior(expert: Gaussian, present_B: Tensor) -> Gaussian:
    is_here_B1 = present_B[:, None] > 0
    return Gaussian(*(torch.where(is_here_B1, part, 0.0) for part in expert))


def elbo(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Evidence lower bound: on average at most log p(x_1 .. x_M), [B].

    Formula: (1/S) sum_s log p(x, z_s) - log q(z_s | x).
    """
    return (log_joint_SB - log_posterior_SB).mean(dim=0)


def iwae(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Importance weighted bound: at most log p(x_1 .. x_M) on average, nearer with more draws.

    Formula: log (1/S) sum_s p(x, z_s) / q(z_s | x).

    Args:
        log_joint_SB: log p(z) + sum_m log p(x_m | z) at the draws.
        log_posterior_SB: `Draws.log_density_SB`.

    Returns:
        [B]; never below `elbo` of the same draws.
    Source: Burda et al. 2016 eq. 8; with a mixture inside the logarithm as Shi et al. 2019.
    """
    draws = len(log_joint_SB)
    return (log_joint_SB - log_posterior_SB).logsumexp(dim=0) - math.log(draws)


def cubo(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Chi upper bound: with many draws at least log p(x_1 .. x_M), [B].

    Formula: (1/2) log (1/S) sum_s (p(x, z_s) / q(z_s | x))^2. Never below `iwae` of the same draws,
    but with few draws it can still be below log p.
    Source: Dieng et al. 2017, n = 2.
    """
    draws = len(log_joint_SB)
    return ((2 * (log_joint_SB - log_posterior_SB)).logsumexp(dim=0) - math.log(draws)) / 2


def all_pairs(first_BD: Tensor, second_BE: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of both sides so that row i B + j is (first i, second j): [P, D] and [P, E].

    A density of these rows, reshaped to [B, B], is what `related_contrast` needs.
    """
    rows = len(first_BD)
    return first_BD.repeat_interleave(rows, dim=0), second_BE.repeat(rows, 1)


def related_contrast(log_density_BB: Tensor, gamma: Number) -> Tensor:
    """Related pairs are likelier than unrelated ones under the joint model.

    Formula: mean_i -gamma log p(x_i, y_i) + [log sum_j p(x_i, y_j) + log sum_j p(x_j, y_i)] / 2.

    Args:
        log_density_BB: log p(x_i, y_j), or a bound on it. Row i of both sides belongs together.
        gamma: > 1: what of the related pair's own density is left after the contrast. At 1 only
            the contrast is there.

    Returns:
        Scalar; (1 - gamma) log p for a single pair.
    Source: Shi et al. 2021 (arXiv:2007.01179), after its description.
    """
    candidates_B = (log_density_BB.logsumexp(dim=1) + log_density_BB.logsumexp(dim=0)) / 2
    return (candidates_B - gamma * torch.diagonal(log_density_BB)).mean()
