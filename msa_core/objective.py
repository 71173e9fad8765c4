"""The total loss of a configuration, term by term."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config import PAIRS, Config
from msa_core.data.batching import Batch
from msa_core.model import Output
from msa_core.modules.alignment import MEASURES, private_term


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the loss: `weight * raw`, both scalars."""

    raw: Tensor
    weight: Tensor | float


def loss_terms(
    config: Config, output: Output, batch: Batch, numbers: Mapping[str, Tensor | float]
) -> dict[str, Term]:
    """Every term that this configuration has, by its dotted name.

    A term of weight 0 is skipped, not multiplied: 0 * nan is nan.

    Args:
        config: which terms there are. Its numbers are not read: members of a pack share this
            configuration, and each has numbers of its own.
        output: the model's output on the batch, training mode.
        batch: rows of train.
        numbers: the member's `msa_core.packing.free_numbers`.
    """
    terms = {"task": Term(raw=_absolute_error(output.prediction, batch.labels), weight=1.0)}
    terms.update(_alignment_terms(config, output.projected, numbers))
    terms.update(_unimodal_terms(config, output.unimodal, batch, numbers))
    return terms


def total(terms: Mapping[str, Term]) -> Tensor:
    """The weighted sum, a scalar."""
    return torch.stack([weighted(term) for term in terms.values()]).sum()


def weighted(term: Term) -> Tensor:
    """What a term adds to the loss."""
    return term.raw * term.weight


def _alignment_terms(
    config: Config, projected: Mapping[str, Tensor], numbers: Mapping[str, Tensor | float]
) -> dict[str, Term]:
    terms = {}
    for pair, (first, second) in PAIRS.items():
        chosen = getattr(config.loss.alignment, pair)
        present = first in projected and second in projected
        if present and chosen.mode != "off" and chosen.weight > 0:
            path = f"loss.alignment.{pair}"
            distance = MEASURES[chosen.measure](projected[first], projected[second])
            raw = distance
            if chosen.mode == "private":
                raw = private_term(distance, numbers[f"{path}.margin"])
            terms[f"alignment.{pair}"] = Term(raw=raw, weight=numbers[f"{path}.weight"])
    return terms


def _unimodal_terms(
    config: Config,
    predictions: Mapping[str, Tensor],
    batch: Batch,
    numbers: Mapping[str, Tensor | float],
) -> dict[str, Term]:
    unimodal = config.loss.unimodal
    own_labels = unimodal.kind == "ulgm" or unimodal.target == "annotated"
    terms = {}
    for modality, prediction in predictions.items():
        labels = batch.unimodal_labels[modality] if own_labels else batch.labels
        if unimodal.kind == "ulgm":
            raw = (batch.unimodal_weights[modality] * (prediction - labels).abs()).mean()
        else:
            raw = _absolute_error(prediction, labels)
        weight = numbers[f"loss.unimodal.{modality}.weight"]
        terms[f"unimodal.{modality}"] = Term(raw=raw, weight=weight)
    return terms


def _absolute_error(prediction: Tensor, label: Tensor) -> Tensor:
    return (prediction - label).abs().mean()
