"""The total loss of a configuration, term by term."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config.paths import get
from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.model import Output
from msa_core.modules.fusion.base import row_mean
from msa_core.modules.parts.inputs import Numbers


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the loss: `weight * raw`, both scalars."""

    raw: Tensor
    weight: Tensor | float


def loss_terms(config: Config, output: Output, batch: Batch, numbers: Numbers) -> dict[str, Term]:
    """Every term that this configuration has, by its dotted name.

    A term of weight 0 is skipped, not multiplied: 0 * nan is nan.

    Args:
        config: which terms there are. Its numbers are not read: members of a pack share this
            configuration, and each has numbers of its own.
        output: the model's output on the batch, training mode.
        batch: rows of train.
        numbers: the member's `msa_core.vectorised.pack_key.free_numbers`.
    """
    terms = {"task": Term(raw=_absolute_error(output.prediction, batch.labels), weight=1.0)}
    terms.update(_module_terms(config, output.terms, numbers, "alignment"))
    terms.update(_unimodal_terms(config, output.unimodal, batch, numbers))
    terms.update(_module_terms(config, output.terms, numbers, "contrast"))
    terms.update(_module_terms(config, output.terms, numbers, "fusion"))
    return terms


def total(terms: Mapping[str, Term]) -> Tensor:
    """The weighted sum, a scalar."""
    return torch.stack([weighted(term) for term in terms.values()]).sum()


def weighted(term: Term) -> Tensor:
    """What a term adds to the loss."""
    return term.raw * term.weight


def _module_terms(
    config: Config, raw: Mapping[str, Tensor], numbers: Numbers, family: str
) -> dict[str, Term]:
    """Terms that modules of the model give; the path of a weight says which is whose."""
    section = {
        "alignment": "loss.alignment",
        "contrast": "loss.contrast",
        "fusion": f"model.fusion.{config.model.fusion.kind}",
    }[family]
    terms = {}
    for name, value in raw.items():
        of_family, _, rest = name.partition(".")
        path = f"{section}.{rest}.weight"
        if of_family == family and _is_on(config, path):
            terms[name] = Term(raw=value, weight=numbers[path])
    return terms


def _is_on(config: Config, path: str) -> bool:
    return float(get(config, path)) > 0


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
    """Mean over the utterances, or over those whose count is 1 and not 0."""
    return row_mean((prediction - label).abs(), counts)
