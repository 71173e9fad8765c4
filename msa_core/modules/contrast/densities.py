"""A joint generative model of modalities, and a loss that contrasts its densities.

Shapes: M modalities, B utterances, Z = width of the latent, S draws of it.
Densities are natural logarithms. Posteriors are Gaussian with a diagonal covariance, or mixtures
of such; the prior of the latent is standard normal.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Mean and log variance, two tensors of one shape."""

    mean: Tensor
    log_variance: Tensor

    def log_density(self, value: Tensor) -> Tensor:
        """Compute the density of a value, summed over the last dimension; shapes broadcast."""
        squared = (value - self.mean).square() * (-self.log_variance).exp()
        return -(squared + self.log_variance + math.log(2 * math.pi)).sum(dim=-1) / 2

    def transform_noise(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise into a draw, with the gradient of mean and variance."""
        return self.mean + (self.log_variance / 2).exp() * noise


def log_prior(latent_SBZ: Tensor) -> Tensor:
    """Compute the density of the latent under its standard normal prior, [S, B]."""
    return -(latent_SBZ.square() + math.log(2 * math.pi)).sum(dim=-1) / 2


def product_of_experts(experts: Sequence[Gaussian]) -> Gaussian:
    """Compute the normalised product of the prior and the modalities' experts.

    Formula: precision = 1 + sum_m exp(-logvar_m), mean = sum_m exp(-logvar_m) mean_m / precision.

    Args:
        experts: Posterior of each modality, [B, Z].

    Returns:
        The posterior, [B, Z].
    Source: Wu & Goodman 2018 (MVAE).
    """
    precision_BZ = torch.ones_like(experts[0].mean)
    weighted_BZ = torch.zeros_like(experts[0].mean)
    for expert in experts:
        own_BZ = (-expert.log_variance).exp()
        precision_BZ = precision_BZ + own_BZ
        weighted_BZ = weighted_BZ + own_BZ * expert.mean
    return Gaussian(weighted_BZ / precision_BZ, -precision_BZ.log())


def product_draws(experts: Sequence[Gaussian], noise_SBZ: Tensor) -> tuple[Tensor, Tensor]:
    """Draw from the product of experts: latents [S, B, Z], and their log densities [S, B].

    Args:
        experts: Posterior of each modality, [B, Z].
        noise_SBZ: Standard normal numbers.
    """
    posterior = product_of_experts(experts)
    latent_SBZ = posterior.transform_noise(noise_SBZ)
    return latent_SBZ, posterior.log_density(latent_SBZ)


def mixture_draws(experts: Sequence[Gaussian], noise_SBZ: Tensor) -> tuple[Tensor, Tensor]:
    """Draw S / M times from each expert of an equal mixture; results as `product_draws`.

    The density of a draw is that of the whole mixture, log (1/M) sum_m q_m, not of its own expert.

    Args:
        experts: Posterior of each modality, [B, Z].
        noise_SBZ: Standard normal numbers; M must divide S.

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
    latent_SBZ = torch.cat(
        # As many draws of each expert, not an expert drawn at random: less variance.
        [expert.transform_noise(noise_SBZ[m::count]) for m, expert in enumerate(experts)]
    )
    log_densities_MSB = torch.stack([expert.log_density(latent_SBZ) for expert in experts])
    return latent_SBZ, log_densities_MSB.logsumexp(dim=0) - math.log(count)


def elbo(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Compute the evidence lower bound: on average at most log p(x_1 .. x_M), [B].

    Formula: (1/S) sum_s log p(x, z_s) - log q(z_s | x).
    """
    return (log_joint_SB - log_posterior_SB).mean(dim=0)


def iwae(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Compute the importance weighted bound: at most log p(x_1 .. x_M) on average.

    It is nearer to it with more draws.

    Formula: log (1/S) sum_s p(x, z_s) / q(z_s | x).

    Args:
        log_joint_SB: Density log p(z) + sum_m log p(x_m | z) at the draws.
        log_posterior_SB: Density that the draws were drawn with.

    Returns:
        [B]; never below `elbo` of the same draws.
    Source: Burda et al. 2016 eq. 8; with a mixture inside the logarithm as Shi et al. 2019.
    """
    draws = len(log_joint_SB)
    return (log_joint_SB - log_posterior_SB).logsumexp(dim=0) - math.log(draws)


def cubo(log_joint_SB: Tensor, log_posterior_SB: Tensor) -> Tensor:
    """Compute the chi upper bound: with many draws at least log p(x_1 .. x_M), [B].

    Formula: (1/2) log (1/S) sum_s (p(x, z_s) / q(z_s | x))^2. Never below `iwae` of the same draws,
    but with few draws it can still be below log p.
    Source: Dieng et al. 2017, n = 2.
    """
    draws = len(log_joint_SB)
    return ((2 * (log_joint_SB - log_posterior_SB)).logsumexp(dim=0) - math.log(draws)) / 2
