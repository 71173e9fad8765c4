"""The total loss of a configuration, term by term."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.model import ModelOutput
from msa_core.modules.fusion.base import row_mean
from msa_core.modules.parts.inputs import Numbers
from spaces.fields.paths import value_at


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the loss: `weight * raw`, both scalars."""

    raw: Tensor
    weight: Tensor | float

    @property
    def weighted(self) -> Tensor:
        """Contribution to the loss."""
        return self.raw * self.weight


def loss_terms(
    config: Config, output: ModelOutput, batch: Batch, numbers: Numbers
) -> dict[str, Term]:
    """Collect every term that this configuration has, by its dotted name.

    Args:
        config: Configuration that decides which terms exist. Its numbers are not read: members
            of a pack share this configuration, and each has numbers of its own.
        output: Output of the model on the batch, in training mode.
        batch: Rows of train.
        numbers: Member's `msa_core.vectorised.pack_key.free_numbers`.
    """
    # The order is that in which the terms are added up, so it decides the last digits of the loss.
    terms = {"task": Term(raw=_absolute_error(output.prediction, batch.labels), weight=1.0)}
    terms.update(_module_terms(config, output.terms, numbers, "alignment"))
    terms.update(_unimodal_terms(config, output.unimodal, batch, numbers))
    terms.update(_module_terms(config, output.terms, numbers, "contrast"))
    terms.update(_module_terms(config, output.terms, numbers, "fusion"))
    return terms


def total_loss(terms: Mapping[str, Term]) -> Tensor:
    """Add the weighted terms up to a scalar."""
    return torch.stack([term.weighted for term in terms.values()]).sum()


def _module_terms(
    config: Config, raw: Mapping[str, Tensor], numbers: Numbers, family: str
) -> dict[str, Term]:
    """Collect the terms that the model's modules return, each with the weight of its own path."""
    section = {
        "alignment": "loss.alignment",
        "contrast": "loss.contrast",
        "fusion": f"model.fusion.{config.model.fusion.kind}",
    }[family]
    terms = {}
    for name, value in raw.items():
        of_family, _, rest = name.partition(".")
        path = f"{section}.{rest}.weight"
        # A term of weight 0 is skipped, not multiplied: 0 * nan is nan.
        if of_family == family and float(value_at(config, path)) > 0:
            terms[name] = Term(raw=value, weight=numbers[path])
    return terms


def _unimodal_terms(
    config: Config,
    predictions: Mapping[str, Tensor],
    batch: Batch,
    numbers: Numbers,
) -> dict[str, Term]:
    unimodal = config.loss.unimodal
    own_labels = unimodal.kind == "ulgm" or unimodal.target == "annotated"
    terms = {}
    for modality, prediction in predictions.items():
        labels = batch.unimodal_labels[modality] if own_labels else batch.labels
        weights = batch.unimodal_weights if unimodal.kind == "ulgm" else {}
        if modality in weights:
            raw = (weights[modality] * (prediction - labels).abs()).mean()
        else:
            raw = _absolute_error(prediction, labels, batch.present.get(modality))
        weight = numbers[f"loss.unimodal.{modality}.weight"]
        terms[f"unimodal.{modality}"] = Term(raw=raw, weight=weight)
    return terms


def _absolute_error(prediction: Tensor, label: Tensor, counts: Tensor | None = None) -> Tensor:
    """Average the error over the utterances, or over those whose count is 1 and not 0."""
    return row_mean((prediction - label).abs(), counts)
