"""Losses that keep information apart, or bound how much of it two representations share.

Shapes: B utterances, D = width, R = rows of a memory, C = classes, M = modalities.
The similarity loss of MISA is `msa_core.modules.alignment.measures.central_moment_discrepancy`.
"""

import torch
from torch import Tensor

from msa_core.modules.parts.similarity import Number, cosine_matrix, require_pair

# Below this a centred row has no direction worth dividing by.
SMALLEST_NORM = 1e-6


def difference_loss(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    """Compute the mean squared cross-correlation of two codes, which keeps them apart.

    Formula: (1/D^2) ||U^T V||_F^2, U and V = columns centred, then rows divided by
    (their norm + 1e-6), the norm a constant to the gradient.
    It sees correlation, not angle: codes on orthogonal axes that move together are far from 0.
    It grows as B^2 / D^2, so its weight depends on the batch size.

    Args:
        first_BD: Code, such as the shared one of a modality, B >= 2.
        second_BD: Another code of the same utterances, such as its private one.

    Returns:
        Scalar in [0, B^2 / D^2].

    Raises:
        ValueError: fewer than two utterances, or two widths.
    Source: Hazarika et al. 2020 (MISA), normalised as in its public code.
    """
    require_pair("difference_loss", first_BD, second_BD)
    cross_DD = _row_directions(first_BD).T @ _row_directions(second_BD)
    return cross_DD.square().mean()


def _row_directions(rows_BD: Tensor) -> Tensor:
    centred_BD = rows_BD - rows_BD.mean(dim=0, keepdim=True)
    # The norm is a constant to the gradient, as in MISA's public code.
    norms_B1: Tensor = torch.linalg.vector_norm(centred_BD.detach(), dim=1, keepdim=True)
    return centred_BD / (norms_B1 + SMALLEST_NORM)


def gaussian_log_likelihood(
    mean_BD: Tensor, log_variance_BD: Tensor, target_BD: Tensor, *, normalised: bool
) -> Tensor:
    """Score one modality's prediction of another: the learned part of a bound on information.

    Formula: mean_b sum_d -(y - mu)^2 / (2 exp(logvar)), and - logvar / 2 if `normalised`.
    Without the normaliser a large variance costs nothing: it is no bound on the information.

    Args:
        mean_BD: Mean mu, predicted from the other modality.
        log_variance_BD: Log variance logvar, predicted from the other modality.
        target_BD: Vectors y of this modality.
        normalised: Whether the term - logvar / 2 is there; the released code leaves it out.

    Returns:
        Scalar, to be made large; 0 for mu = y and logvar = 0, never above 0 if not `normalised`.
    Source: Han et al. 2021 (MMIM), as in its public code if not `normalised`.
    """
    terms_BD = -(target_BD - mean_BD).square() * (-log_variance_BD).exp() / 2
    if normalised:
        terms_BD = terms_BD - log_variance_BD / 2
    return terms_BD.sum(dim=1).mean()


def class_entropy(
    rows_BD: Tensor,
    labels_B: Tensor,
    memory_RD: Tensor,
    memory_labels_R: Tensor,
    ridge: Number,
) -> Tensor:
    """Compute the Gaussian entropy of a modality within positive and within negative utterances.

    Formula: (logdet C+ + logdet C-) / 4, C = covariance of a class over batch and memory (divided
    by its rows) + ridge I. Constants of the entropy are left out.

    Args:
        rows_BD: Projected utterance vectors.
        labels_B: Labels; positive and negative ones are the classes, 0 belongs to neither.
        memory_RD: Rows of earlier batches; no gradient reaches them.
        memory_labels_R: Labels of those rows; 0 in a slot that is still empty.
        ridge: Positive number that is added to the diagonal of the covariance.

    Returns:
        Scalar, to be made large. A class without rows adds the constant D ln(ridge) / 4.
    Source: Han et al. 2021 (MMIM), as in its public code, which has no ridge.
    """
    all_SD = torch.cat([memory_RD.detach(), rows_BD])
    labels_S = torch.cat([memory_labels_R, labels_B])
    # Without a ridge, as in the released code, the term is infinite until a class has over D rows.
    identity_DD = torch.eye(all_SD.shape[1], dtype=all_SD.dtype, device=all_SD.device)
    log_determinants = []
    for in_class_S in (labels_S > 0, labels_S < 0):
        # Weights instead of a selection, whose size would differ between members of a pack.
        weights_S1 = in_class_S.to(all_SD.dtype)[:, None]
        count = weights_S1.sum().clamp(min=1.0)
        mean_1D = (weights_S1 * all_SD).sum(dim=0, keepdim=True) / count
        centred_SD = weights_S1 * (all_SD - mean_1D)
        covariance_DD = centred_SD.T @ centred_SD / count + ridge * identity_DD
        log_determinants.append(torch.linalg.slogdet(covariance_DD).logabsdet)
    return torch.stack(log_determinants).sum() / 4


def cpc(predicted_BD: Tensor, modality_BD: Tensor) -> Tensor:
    """Compute contrastive predictive coding: a prediction of a modality finds its utterance.

    Formula: mean_i [log sum_j exp(x_i . g_j) - x_i . g_i], x and g = rows of length 1, no
    temperature: with cosines in [-1, 1] it never gets near 0.

    Args:
        predicted_BD: Vectors g, predicted from the fusion, B >= 2.
        modality_BD: Vectors x of the modality.

    Returns:
        Scalar > 0, at least ln(1 + (B - 1) e^-2).

    Raises:
        ValueError: fewer than two utterances, or two widths.
    Source: Han et al. 2021 (MMIM), as in its public code.
    """
    require_pair("cpc", predicted_BD, modality_BD)
    cosines_BB = cosine_matrix(modality_BD, predicted_BD)
    return (cosines_BB.logsumexp(dim=1) - torch.diagonal(cosines_BB)).mean()


def softmax_entropy(logits_BC: Tensor) -> Tensor:
    """Compute the entropy of each row's softmax in nats, [B], in [0, ln C]."""
    log_shares_BC = logits_BC.log_softmax(dim=1)
    return -(log_shares_BC.exp() * log_shares_BC).sum(dim=1)


def entropy_weights(entropies_MB: Tensor) -> Tensor:
    """Weigh the modalities in an utterance's prediction: the surer one, the more.

    Formula: exp(Hmax - H_m) / sum_n exp(Hmax - H_n), Hmax the largest of the modalities'.

    Args:
        entropies_MB: Entropy of each modality's prediction, modalities first.

    Returns:
        [M, B]; the weights of an utterance add up to 1.
    Source: Zhang et al. 2024 (MLA), as in its public code.
    """
    return (-entropies_MB).softmax(dim=0)
