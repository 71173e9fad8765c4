"""The total loss of a configuration, term by term."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config import PAIRS, Config
from msa_core.data.batching import Batch
from msa_core.model import Output
from msa_core.modules.alignment import MEASURES, pair_term
from msa_core.modules.labels import LabelGenerator


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the loss: `weight * raw`, raw a scalar."""

    raw: Tensor
    weight: float


def loss_terms(
    config: Config, output: Output, batch: Batch, generated: LabelGenerator | None
) -> dict[str, Term]:
    """Every term that this configuration has, by its dotted name.

    A term of weight 0 is skipped, not multiplied: 0 * nan is nan.

    Args:
        config: the member's configuration.
        output: the model's output on the batch, training mode.
        batch: rows of train.
        generated: the unimodal labels, for `loss.unimodal.kind: ulgm` only.
    """
    terms = {"task": Term(raw=_absolute_error(output.prediction, batch.labels), weight=1.0)}
    terms.update(_alignment_terms(config, output.projected))
    terms.update(_unimodal_terms(config, output.unimodal, batch, generated))
    return terms


def total(terms: Mapping[str, Term]) -> Tensor:
    """The weighted sum, a scalar."""
    weighted = [term.raw if term.weight == 1.0 else term.weight * term.raw
                for term in terms.values()]  # fmt: skip
    return torch.stack(weighted).sum()


def _alignment_terms(config: Config, projected: Mapping[str, Tensor]) -> dict[str, Term]:
    terms = {}
    for pair, (first, second) in PAIRS.items():
        chosen = getattr(config.loss.alignment, pair)
        present = first in projected and second in projected
        if present and chosen.mode != "off" and chosen.weight > 0:
            distance = MEASURES[chosen.measure](projected[first], projected[second])
            raw = pair_term(distance, chosen.mode, chosen.margin)
            terms[f"alignment.{pair}"] = Term(raw=raw, weight=chosen.weight)
    return terms


def _unimodal_terms(
    config: Config,
    predictions: Mapping[str, Tensor],
    batch: Batch,
    generated: LabelGenerator | None,
) -> dict[str, Term]:
    terms = {}
    for modality, prediction in predictions.items():
        if generated is not None:
            error = (prediction - generated.labels[modality][batch.rows]).abs()
            raw = (generated.weights(modality, batch.rows) * error).mean()
        elif config.loss.unimodal.target == "annotated":
            raw = _absolute_error(prediction, batch.unimodal_labels[modality])
        else:
            raw = _absolute_error(prediction, batch.labels)
        weight = getattr(config.loss.unimodal, modality).weight
        terms[f"unimodal.{modality}"] = Term(raw=raw, weight=weight)
    return terms


def _absolute_error(prediction: Tensor, label: Tensor) -> Tensor:
    return (prediction - label).abs().mean()
