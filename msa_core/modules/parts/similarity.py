"""Contrastive losses: a row and its partner stand out from the rows of other utterances.

Shapes: B utterances, D = width, R = rows.
All similarities are cosines divided by a temperature. Two rows of equal labels are negatives of
each other all the same, except in `supervised_contrast`.
"""

import torch
from torch import Tensor

Number = Tensor | float

# A row this many roundings of its own size away from another is that row.
ROUNDINGS = 8


def info_nce(first_BD: Tensor, second_BD: Tensor, temperature: Number) -> Tensor:
    """Compute symmetric InfoNCE: row b of one side finds row b of the other among all B rows.

    Formula: [CE(S, I) + CE(S^T, I)] / 2, S = cosines of all pairs of rows / temperature.

    Args:
        first_BD: Vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        temperature: Positive divisor of the cosines.

    Returns:
        Scalar > 0; equal rows everywhere give ln B.

    Raises:
        ValueError: fewer than two utterances, or two shapes.
    Source: van den Oord et al. 2018; symmetric as in Radford et al. 2021.
    """
    require_pair("info_nce", first_BD, second_BD)
    logits_BB = cosine_matrix(first_BD, second_BD) / temperature
    candidates_B = (logits_BB.logsumexp(dim=0) + logits_BB.logsumexp(dim=1)) / 2
    return (candidates_B - torch.diagonal(logits_BB)).mean()


def supervised_contrast(rows_BD: Tensor, bins_B: Tensor, temperature: Number) -> Tensor:
    """Compute a contrast in which all rows of the same bin are partners.

    Formula: mean_i -(1/|P(i)|) sum_{p in P(i)} log(e^{s_ip} / sum_{j != i} e^{s_ij}), over the rows
    whose P(i) = {p != i of the same bin} is not empty; 0 where every P(i) is empty.

    Args:
        rows_BD: Vectors, B >= 2. Several modalities can be stacked, with their bins repeated.
        bins_B: Whole numbers.
        temperature: Positive divisor of the cosines.

    Returns:
        Scalar >= 0; equal rows everywhere give ln(B - 1).

    Raises:
        ValueError: fewer than two rows, or not one bin per row.
    Source: Khosla et al. 2020 eq. 2; on sentiment bins after arXiv:2210.14556, whose full text was
        not at hand.
    """
    if len(rows_BD) < 2 or bins_B.shape != rows_BD.shape[:1]:
        raise ValueError(
            "supervised_contrast needs rows [B >= 2, D] and bins [B], "
            f"but got {tuple(rows_BD.shape)} and {tuple(bins_B.shape)}"
        )
    logits_BB = cosine_matrix(rows_BD, rows_BD) / temperature
    itself_BB = _diagonal_mask(logits_BB)
    partners_BB = (bins_B[:, None] == bins_B[None, :]) & ~itself_BB
    partners_BB = partners_BB.to(logits_BB.dtype)
    others_B = logits_BB.masked_fill(itself_BB, -torch.inf).logsumexp(dim=1)
    count_B = partners_BB.sum(dim=1)
    nearness_B = (partners_BB * logits_BB).sum(dim=1) / count_B.clamp(min=1.0)
    counts_B = (count_B > 0).to(logits_BB.dtype)
    return (counts_B * (others_B - nearness_B)).sum() / counts_B.sum().clamp(min=1.0)


def icl(first_BD: Tensor, second_BD: Tensor, temperature: Number) -> Tensor:
    """Compute intra-modal contrast: the partner among 2 B - 1 other rows of both sides.

    Formula: mean of CE([S_ab, S_aa without its diagonal], I) and of the same from b's side.

    Args:
        first_BD: First of two views, or one utterance, B >= 2.
        second_BD: Other view, or a partner of the same sentiment.
        temperature: Positive divisor of the cosines.

    Returns:
        Scalar > 0; equal rows everywhere give ln(2 B - 1).

    Raises:
        ValueError: fewer than two rows, or two shapes.
    Source: Lin et al. 2022 (MCLEA), as in its public code.
    """
    require_pair("icl", first_BD, second_BD)
    log_shares = _log_shares(first_BD, second_BD, temperature)
    return torch.stack([-torch.diagonal(side_BC).mean() for side_BC in log_shares]).mean()


def ial(
    first_BD: Tensor,
    second_BD: Tensor,
    joint_first_BE: Tensor,
    joint_second_BE: Tensor,
    temperature: Number,
) -> Tensor:
    """Compute inter-modal alignment: a modality's similarities follow those of the joint vectors.

    Formula: mean over rows and both sides of KL(stopgrad softmax(joint) || softmax(modality)),
    over the 2 B - 1 candidates of `icl`.
    The released code divides by the number of entries too and multiplies by 0.1 twice: weight 1
    there is weight 0.01 / (2 B) here.

    Args:
        first_BD: Vectors of one modality, first side, B >= 2.
        second_BD: Vectors of the same modality, second side.
        joint_first_BE: Joint representation, first side; no gradient reaches it.
        joint_second_BE: Joint representation, second side; no gradient reaches it.
        temperature: Positive divisor of the cosines of both.

    Returns:
        Scalar >= 0; 0 where the logits of a row differ by a constant.

    Raises:
        ValueError: fewer than two rows, or shapes that do not belong together.
    Source: Lin et al. 2022 (MCLEA), as in its public code.
    """
    require_pair("ial", first_BD, second_BD)
    require_pair("ial", joint_first_BE, joint_second_BE)
    if len(first_BD) != len(joint_first_BE):
        raise ValueError(
            "ial needs as many joint rows as rows of the modality, "
            f"but got {len(joint_first_BE)} and {len(first_BD)}"
        )
    modality = _log_shares(first_BD, second_BD, temperature)
    joint = _log_shares(joint_first_BE.detach(), joint_second_BE.detach(), temperature)
    divergences = [
        (wanted_BC.exp() * (wanted_BC - found_BC)).sum(dim=1).mean()
        for wanted_BC, found_BC in zip(joint, modality, strict=True)
    ]
    # Rounding leaves -1e-8 where the two agree.
    return torch.relu(torch.stack(divergences).mean())


def _log_shares(first_BD: Tensor, second_BD: Tensor, temperature: Number) -> list[Tensor]:
    """Compute both sides' log softmax over [other side's B rows, own side's other rows]."""
    first_BD, second_BD = unit_rows(first_BD), unit_rows(second_BD)
    across_BB = first_BD @ second_BD.T
    log_shares = []
    for between_BB, own_BD in ((across_BB, first_BD), (across_BB.T, second_BD)):
        within_BB = own_BD @ own_BD.T / temperature
        # A row itself is no candidate: its entry is far below any other, but finite, so that a
        # share of 0 times its logarithm is 0.
        within_BB = within_BB.masked_fill(_diagonal_mask(within_BB), -1e9)
        logits_BC = torch.cat([between_BB / temperature, within_BB], dim=1)
        log_shares.append(logits_BC.log_softmax(dim=1))
    return log_shares


def cosine_matrix(first_RD: Tensor, second_RD: Tensor) -> Tensor:
    """Compute the cosine of every row of one side with every row of the other."""
    return unit_rows(first_RD) @ unit_rows(second_RD).T


def unit_rows(rows_RD: Tensor) -> Tensor:
    """Divide rows by their norm; a row of zeros stays one, with a gradient that is finite."""
    # The root is taken after the choice: the gradient of a root of 0 is infinite, and infinity
    # times 0 is NaN.
    squared_R1 = rows_RD.square().sum(dim=1, keepdim=True)
    return rows_RD / torch.where(squared_R1 > 0, squared_R1, 1.0).sqrt()


def squared_distances(rows_RD: Tensor) -> Tensor:
    """Compute the squared distance of every two rows, [R, R], exactly 0 on the diagonal."""
    # Products of centred rows: all differences at once would need R^2 D numbers per member.
    centred_RD = rows_RD - rows_RD.mean(dim=0, keepdim=True)
    products_RR = centred_RD @ centred_RD.T
    squared_R = torch.diagonal(products_RR)
    squared_RR = torch.relu(squared_R[:, None] + squared_R[None, :] - 2 * products_RR)
    return squared_RR.masked_fill(_diagonal_mask(squared_RR), 0.0)


def require_pair(name: str, first_BD: Tensor, second_BD: Tensor) -> None:
    """Refuse two sides that are not row by row the same utterances.

    Raises:
        ValueError: fewer than two rows, or two shapes.
    """
    if first_BD.shape != second_BD.shape or len(first_BD) < 2:
        raise ValueError(
            f"{name} needs two equal shapes [B >= 2, D], "
            f"but got {tuple(first_BD.shape)} and {tuple(second_BD.shape)}"
        )


def _diagonal_mask(square_RR: Tensor) -> Tensor:
    return torch.eye(len(square_RR), dtype=torch.bool, device=square_RR.device)
