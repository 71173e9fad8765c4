"""The total loss: which terms a configuration has, and what each of them is.

Shapes: B utterances, D = width of a projected modality.
"""

import math
from dataclasses import replace as dataclass_replace

import pytest
import torch

from msa_core.config.alignment import aligned_pairs
from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.kinds import options_class
from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.model import ModelOutput
from msa_core.modules.alignment import measures as alignment
from msa_core.modules.alignment.pairs import PairAlignment
from msa_core.modules.unimodal_labels import MULTIMODAL, LabelGenerator, fresh_labels
from msa_core.objective import Term, loss_terms, total_loss
from msa_core.vectorised.pack_key import free_numbers
from spaces.fields.paths import replace

B, D = 6, 3
ALL_SHARED = {f"loss.alignment.{pair}.mode": "shared" for pair in PAIRS}
FIXED = {"loss.unimodal.kind": "fixed"}


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def batch():
    return Batch(
        features={},
        lengths={},
        labels=random(B),
        unimodal_labels={name: random(B) * (place + 2) for place, name in enumerate(MODALITIES)},
        rows=torch.tensor([7, 1, 4, 0, 2, 9]),
    )


@pytest.fixture
def output():
    return output_of(MODALITIES)


def output_of(modalities, unimodal=()):
    return ModelOutput(
        prediction=random(B) + 1.0,
        unimodal={name: random(B) + 3.0 + place for place, name in enumerate(unimodal)},
        projected={name: random(B, D) * (place + 1) for place, name in enumerate(modalities)},
        hidden={},
        fused=random(B, 2),
    )


def terms_of(changes, output, batch):
    config = replace(Config(), changes)
    numbers = free_numbers(config)
    return loss_terms(config, aligned(config, output, numbers), batch, numbers)


def aligned(config, output, numbers):
    """The output with the terms that a model of this configuration gives."""
    terms = {}
    for pair in aligned_pairs(config):
        first, second = (output.projected[name] for name in PAIRS[pair])
        terms[f"alignment.{pair}"], _ = PairAlignment(config, pair)(first, second, numbers)
    return dataclass_replace(output, terms=terms)


def with_labels_of(generated, batch):
    """The batch as a step of `ulgm` sees it."""
    return dataclass_replace(
        batch,
        unimodal_labels={"text": generated.labels["text"][batch.rows]},
        unimodal_weights={"text": generated.row_weights("text", batch.rows)},
    )


def explode(*_):
    raise AssertionError("a term that is off was computed")


def test_the_plain_loss_is_the_mean_absolute_error(output, batch):
    terms = terms_of({}, output, batch)
    assert set(terms) == {"task"}
    expected = sum(abs(output.prediction - batch.labels).tolist()) / B
    assert total_loss(terms).item() == pytest.approx(expected)


def test_every_pair_that_is_on_has_its_own_term_and_weight(output, batch):
    weights = {"text_audio": 2.0, "text_vision": 0.5, "audio_vision": 30.0}
    changes = {f"loss.alignment.{pair}.weight": weight for pair, weight in weights.items()}
    terms = terms_of({**ALL_SHARED, **changes}, output, batch)
    assert list(terms) == ["task", *(f"alignment.{pair}" for pair in PAIRS)]
    for pair, (first, second) in PAIRS.items():
        distance = alignment.covariance_alignment(output.projected[first], output.projected[second])
        assert terms[f"alignment.{pair}"].raw.item() == distance.item()
        assert terms[f"alignment.{pair}"].weight == weights[pair]
    expected = sum(term.weight * term.raw.item() for term in terms.values())
    assert total_loss(terms).item() == pytest.approx(expected)


def test_a_private_pair_is_the_bounded_term(output, batch):
    changes = {"loss.alignment.text_audio.mode": "private", "loss.alignment.text_audio.margin": 50}
    raw = terms_of(changes, output, batch)["alignment.text_audio"].raw.item()
    distance = alignment.covariance_alignment(output.projected["text"], output.projected["audio"])
    assert raw == pytest.approx(1 - distance.item() / 50)
    assert 0 < raw < 1


def test_a_pair_with_an_absent_modality_is_off(batch):
    changes = {**ALL_SHARED, "model.audio.use": False}
    terms = terms_of(changes, output_of(("text", "vision")), batch)
    assert set(terms) == {"task", "alignment.text_vision"}
    changes["model.text.use"] = False
    assert set(terms_of(changes, output_of(("vision",)), batch)) == {"task"}


@pytest.mark.parametrize("mode", ["shared", "private"])
def test_zero_weight_skips_the_term(mode, output, batch, monkeypatch):
    monkeypatch.setattr(options_class(Config, "alignment", "cov"), "implementation", explode)
    pair = "loss.alignment.audio_vision"
    assert set(terms_of({f"{pair}.mode": mode, f"{pair}.weight": 0}, output, batch)) == {"task"}
    with pytest.raises(AssertionError, match="was computed"):
        terms_of({f"{pair}.mode": mode}, output, batch)


def test_every_unimodal_head_learns_the_multimodal_label_with_its_own_weight(batch):
    output = output_of(MODALITIES, unimodal=("text", "vision"))
    terms = terms_of({**FIXED, "loss.unimodal.vision.weight": 0.25}, output, batch)
    assert list(terms) == ["task", "unimodal.text", "unimodal.vision"]
    assert [term.weight for term in terms.values()] == [1.0, 1.0, 0.25]
    for name, prediction in output.unimodal.items():
        expected = (prediction - batch.labels).abs().mean().item()
        assert terms[f"unimodal.{name}"].raw.item() == pytest.approx(expected)


def test_annotated_heads_learn_the_data_s_own_unimodal_labels(batch):
    output = output_of(MODALITIES, unimodal=MODALITIES)
    terms = terms_of({**FIXED, "loss.unimodal.target": "annotated"}, output, batch)
    for name, prediction in output.unimodal.items():
        expected = (prediction - batch.unimodal_labels[name]).abs().mean().item()
        assert terms[f"unimodal.{name}"].raw.item() == pytest.approx(expected)


def test_generated_labels_weigh_each_row_by_its_distance_from_the_multimodal_label(batch):
    generated = LabelGenerator(fresh_labels(random(10), {MULTIMODAL: 2, "text": 2}), 3.0)
    generated.labels["text"] += torch.arange(10) * 0.2
    output = output_of(MODALITIES, unimodal=("text",))
    terms = terms_of({"loss.unimodal.kind": "ulgm"}, output, with_labels_of(generated, batch))
    errors = []
    for place, row in enumerate(batch.rows.tolist()):
        own, multimodal = generated.labels["text"][row], generated.labels[MULTIMODAL][row]
        weight = math.tanh(abs(own - multimodal))
        errors.append(weight * abs(output.unimodal["text"][place] - own).item())
    assert terms["unimodal.text"].raw.item() == pytest.approx(sum(errors) / B)


def test_generated_labels_give_exactly_no_loss_and_no_gradient_in_the_first_epoch(batch):
    generated = LabelGenerator(fresh_labels(random(10), {MULTIMODAL: 2, "text": 2}), 3.0)
    output = output_of(MODALITIES, unimodal=("text",))
    output.unimodal["text"].requires_grad_()
    terms = terms_of({"loss.unimodal.kind": "ulgm"}, output, with_labels_of(generated, batch))
    assert terms["unimodal.text"].raw.item() == 0.0
    terms["unimodal.text"].raw.backward()
    assert not output.unimodal["text"].grad.any()
    assert total_loss(terms).item() == terms["task"].raw.item()


def test_a_member_s_numbers_are_its_own_and_not_those_of_the_configuration(batch):
    """Members of a pack share a configuration that says which terms there are, no more."""
    private = {f"loss.alignment.{pair}.mode": "private" for pair in PAIRS}
    margin, weight, head = (f"loss.{name}" for name in (
        "alignment.text_audio.margin", "alignment.text_audio.weight", "unimodal.text.weight"
    ))  # fmt: skip
    own = {**private, **FIXED, margin: 50.0, weight: 7.0, head: 0.5}
    shared, member = (replace(Config(), changes) for changes in ({**private, **FIXED}, own))
    output = output_of(MODALITIES, unimodal=MODALITIES)
    numbers = free_numbers(member)
    found = loss_terms(shared, aligned(shared, output, numbers), batch, numbers)
    expected = loss_terms(member, aligned(member, output, numbers), batch, numbers)
    assert found["alignment.text_audio"].weight == 7.0
    assert found["unimodal.text"].weight == 0.5
    assert [(t.raw.item(), t.weight) for t in found.values()] == [
        (t.raw.item(), t.weight) for t in expected.values()
    ]
    other = terms_of({**private, **FIXED}, output, batch)["alignment.text_audio"]
    assert found["alignment.text_audio"].raw.item() != other.raw.item()


def test_a_weight_may_be_a_tensor_as_in_a_pack(output, batch):
    config = replace(Config(), ALL_SHARED)
    numbers = {path: torch.tensor(value) for path, value in free_numbers(config).items()}
    found = total_loss(loss_terms(config, aligned(config, output, numbers), batch, numbers))
    assert found.item() == total_loss(terms_of(ALL_SHARED, output, batch)).item()


def test_the_total_is_the_weighted_sum():
    terms = {
        "task": Term(raw=torch.tensor(0.5), weight=1.0),
        "alignment.text_audio": Term(raw=torch.tensor(3.0), weight=10.0),
        "unimodal.text": Term(raw=torch.tensor(0.25), weight=2.0),
    }
    assert total_loss(terms).item() == 31.0
    assert [term.weighted.item() for term in terms.values()] == [0.5, 30.0, 0.5]
    assert total_loss({"task": terms["task"]}).shape == ()
