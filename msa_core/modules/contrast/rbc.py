"""A contrast by densities: a small generative model tells related from unrelated utterances.

Shapes: M modalities, B utterances, D = width of a projected modality, Z = width of the latent, S
draws of it, C candidates of an utterance, P = C B rows of all candidates.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.alignment.measures import unit_variance
from msa_core.modules.contrast import densities as generative
from msa_core.modules.contrast.base import (
    LARGEST_LOG_VARIANCE,
    Contrast,
    GaussianPredictor,
    Predictor,
)
from msa_core.modules.contrast.densities import Gaussian
from msa_core.modules.parts.inputs import EncodedBatch, Numbers, Sizes
from msa_core.modules.parts.similarity import Number
from msa_core.modules.parts.stochastic import Noise

POSTERIORS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "mixture": generative.mixture_draws,
    "product": generative.product_draws,
}
BOUNDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iwae": generative.iwae,
    "elbo": generative.elbo,
    "cubo": generative.cubo,
}


class Rbc(Contrast):
    """A generative model of the modalities finds related utterances likelier than unrelated ones.

    A small variational autoencoder of all modalities' vectors, whose entries are made of mean 0
    and variance 1 in the batch: else their density would grow by shrinking them. Decoders are
    Gaussian, of one learned variance a modality. An unrelated utterance has one of its modalities
    from another row of the batch.

    Formula: E [-gamma log p(x) + mean_m log sum_c p(x with x_m of row c)], c = own row and others.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        width = sizes.projected
        self.noise = Noise(options.draws, options.latent)
        self.experts = nn.ModuleDict(
            {
                name: GaussianPredictor(width, options.width, options.latent)
                for name in sizes.modalities
            }
        )
        self.decoders = nn.ModuleDict(
            {name: Predictor(options.latent, options.width, width) for name in sizes.modalities}
        )
        self.log_variances = nn.Parameter(torch.zeros(len(sizes.modalities)))

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Start decoders with a variance of 1, that of their standardised targets."""
        return torch.zeros_like(drawn)

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        rows = {name: _standardise_rows(rows_BD) for name, rows_BD in seen.projected.items()}
        utterances = len(seen.labels)
        unrelated = min(self.options.unrelated, utterances - 1) if self.options.contrast else 0
        log_joint_SCB, log_posterior_SCB = self._candidate_densities(
            rows, _candidate_shifts(list(rows), unrelated)
        )
        bound, bound_of_candidates = BOUNDS[self.options.bound], BOUNDS[self.options.negatives]
        own_B = bound(log_joint_SCB[:, 0], log_posterior_SCB[:, 0])
        if not self.options.contrast:
            return -own_B.mean()
        candidates_CB = bound_of_candidates(log_joint_SCB, log_posterior_SCB)
        return tuple_contrast(own_B, candidates_CB, len(rows), numbers["gamma"])

    def _candidate_densities(
        self, rows: Mapping[str, Tensor], shifts: Sequence[Mapping[str, int]]
    ) -> tuple[Tensor, Tensor]:
        """Compute log p(x, z) and log q(z | x) of every candidate, [S, C, B] both."""
        experts = [
            Gaussian(
                *(_shift_rows(part_BZ, name, shifts) for part_BZ in self.experts[name](rows_BD))
            )
            for name, rows_BD in rows.items()
        ]
        noise_SBZ = self.noise.drawn.transpose(0, 1)
        # The same noise for all candidates of an utterance: their difference is then less noisy.
        noise_SPZ = noise_SBZ.repeat(1, len(shifts), 1)
        latent_SPZ, log_posterior_SP = POSTERIORS[self.options.posterior](experts, noise_SPZ)
        log_joint_SP = generative.log_prior(latent_SPZ)
        # One axis of rows, since a product with one more is slower under `torch.func.vmap`.
        latent_RZ = latent_SPZ.flatten(end_dim=1)
        bounded_M = torch.tanh(self.log_variances / LARGEST_LOG_VARIANCE) * LARGEST_LOG_VARIANCE
        for (name, rows_BD), log_variance in zip(rows.items(), bounded_M.unbind(0), strict=True):
            width = rows_BD.shape[1]
            mean_SPD = self.decoders[name](latent_RZ).view(*latent_SPZ.shape[:2], width)
            # One variance a modality: squares are added up before anything else is done to them.
            squared_SP = (_shift_rows(rows_BD, name, shifts) - mean_SPD).square().sum(dim=-1)
            constant = width * (log_variance + math.log(2 * math.pi))
            log_joint_SP = log_joint_SP - (squared_SP * (-log_variance).exp() + constant) / 2
        shape = (len(log_joint_SP), len(shifts), -1)
        return log_joint_SP.view(shape), log_posterior_SP.view(shape)


def tuple_contrast(own_B: Tensor, candidates_CB: Tensor, modalities: int, gamma: Number) -> Tensor:
    """Contrast tuples with those that have one modality of another utterance.

    Formula: mean_b -gamma log p(x_b) + (1/M) sum_m log sum_c p(x_b with x_m of c).

    Args:
        own_B: Density log p of the tuples themselves, or a bound on it.
        candidates_CB: Densities of all candidates: first the tuples themselves, then, modality by
            modality, those in which it comes from elsewhere.
        modalities: Number of modalities, M.
        gamma: Weight > 1 of a tuple's own density; at 1 only the contrast is left.

    Returns:
        Scalar.
    Source: Shi et al. 2021 (arXiv:2007.01179), after its description; for more than two
        modalities our choice.
    """
    itself_MB = candidates_CB[:1].expand(modalities, -1)
    others_MCB = candidates_CB[1:].reshape(modalities, -1, len(own_B))
    among_MB = torch.cat([itself_MB[:, None], others_MCB], dim=1).logsumexp(dim=1)
    return (among_MB.mean(dim=0) - gamma * own_B).mean()


def _standardise_rows(rows_BD: Tensor) -> Tensor:
    # Without this the densities would grow by shrinking the vectors.
    scaled_BD = unit_variance(rows_BD)
    return scaled_BD - scaled_BD.mean(dim=0, keepdim=True)


def _candidate_shifts(names: Sequence[str], unrelated: int) -> list[dict[str, int]]:
    """List for each candidate how many rows further each modality is taken from."""
    # Shifts and not draws of rows: an utterance is never its own negative, and nothing is drawn.
    own = dict.fromkeys(names, 0)
    return [
        own,
        *({**own, name: rows} for name in names for rows in range(1, unrelated + 1)),
    ]


def _shift_rows(rows_BD: Tensor, name: str, shifts: Sequence[Mapping[str, int]]) -> Tensor:
    """Lay out a modality's rows in all candidates, [P, D]."""
    return torch.cat([rows_BD.roll(-shift[name], dims=0) for shift in shifts])
