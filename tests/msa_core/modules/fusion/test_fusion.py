"""Fusion operators: what each promises, and the width that the head is built for.

Shapes: K members, B utterances, T steps, D = width of a projected modality.
"""

import dataclasses

import pytest
import torch

from msa_core.config.fields import MODALITIES, WeightedTerm
from msa_core.config.fusion import FusionConfig
from msa_core.config.kinds import kinds_of, module_of
from msa_core.config.rules import fused_entries
from msa_core.config.schema import Config
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.tensors.recorded_ops import Recordings
from spaces.fields.paths import fields_of, replace

B, T, D = 5, 6, 4
LENGTHS = {
    name: torch.tensor(lengths)
    for name, lengths in zip(
        MODALITIES, ([6, 2, 3, 1, 4], [1, 6, 3, 5, 2], [4, 4, 6, 2, 1]), strict=True
    )
}
LABELS = torch.tensor([-3.0, 2.4, 0.0, 1.0, -0.3])
# Every kind once as it is by default, and its other ways.
VARIANTS = {
    **{kind: {} for kind in kinds_of(Config, "fusion")},
    "gated, sigmoid": {"gate": "sigmoid"},
    "misa, no terms": {
        "similarity.weight": 0, "difference.weight": 0, "reconstruction.weight": 0,
    },
    "reorg_sum, pseudo": {"pseudo.weight": 0.5, "pool": "mean"},
    "reorg_sum, means": {"reorganise": False},
}  # fmt: skip


def drawn(*shape, seed=7):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def built(variant, modalities=MODALITIES):
    """An operator with known parameters, in evaluation mode."""
    kind = variant.partition(",")[0]
    changes = {f"{kind}.{path}": value for path, value in VARIANTS[variant].items()}
    options = getattr(replace(FusionConfig(), changes), kind)
    operator = module_of(Config, "fusion", kind)(modalities, D, options).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)
    return operator


def batch(modalities=MODALITIES, seed=7, **more):
    """Vectors, frames and whatever else an operator may look at."""
    return EncodedBatch(
        features={},
        lengths={name: LENGTHS[name] for name in modalities},
        encoded={},
        projected={name: drawn(B, D, seed=seed + i) for i, name in enumerate(modalities)},
        frames={name: drawn(B, T, D, seed=seed + 10 + i) for i, name in enumerate(modalities)},
        unimodal={name: drawn(B, seed=seed + 20 + i) for i, name in enumerate(modalities)},
        labels=LABELS,
        **more,
    )


def rows_of(seen, rows):
    """The same of some utterances."""
    taken = {
        name: {modality: values[rows] for modality, values in getattr(seen, name).items()}
        for name in ("lengths", "projected", "frames", "unimodal", "present")
    }
    return dataclasses.replace(seen, labels=seen.labels[rows], **taken)


def in_training(operator):
    """Training with no random numbers to wait for."""
    for module in operator.modules():
        if isinstance(module, Dropout):
            module.rate = 0.0
    return operator.train()


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param


# Names and widths.


def test_every_fusion_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(Config)["model.fusion.kind"]
    assert set(info.choices) == set(kinds_of(Config, "fusion"))
    assert FusionConfig().kind in kinds_of(Config, "fusion")


@pytest.mark.parametrize("kind", kinds_of(Config, "fusion"))
def test_every_fusion_states_its_formula(kind):
    assert "Formula:" in module_of(Config, "fusion", kind).__doc__


def fused_by(kind, modalities, width):
    """The width that a configuration is built for."""
    used = {f"model.{name}.use": place < modalities for place, name in enumerate(MODALITIES)}
    return fused_entries(
        replace(Config(), {**used, "model.fusion.kind": kind, "model.projection.width": width})
    )


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_the_width_is_that_of_the_fused_vector(variant, modalities):
    names = MODALITIES[:modalities]
    vectors, _ = built(variant, names)(batch(names))
    assert vectors.shape == (B, fused_by(variant.partition(",")[0], modalities, D))


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        *[("concat", 12), ("sum", 4), ("gated", 4), ("tfn", 125), ("lmf", 4)],
        *[("mult", 24), ("misa", 24), ("reorg_sum", 4)],
    ],
)
def test_the_widths_are_known(kind, width):
    assert fused_by(kind, 3, 4) == width


@pytest.mark.parametrize("kind", ["mult", "misa", "reorg_sum"])
def test_a_width_that_does_not_divide_into_heads_is_refused(kind):
    heads = {f"model.fusion.{kind}.heads": 4, "model.fusion.kind": kind}
    config = replace(Config(), {**heads, "model.projection.width": 6})
    assert "divided into 4 heads" in getattr(config.model.fusion, kind).refusal(config)
    divisible = replace(config, {"model.projection.width": 8})
    assert not getattr(divisible.model.fusion, kind).refusal(divisible)


# What every operator promises.


def test_an_utterance_is_fused_by_itself(variant):
    operator, seen = built(variant), batch()
    for row in range(B):
        alone, _ = operator(rows_of(seen, slice(row, row + 1)))
        torch.testing.assert_close(alone, operator(seen)[0][row : row + 1])


def test_the_gradient_reaches_every_modality_of_every_utterance(variant):
    operator, seen = built(variant), batch()
    read = seen.frames if getattr(operator.options, "needs_frames", False) else seen.projected
    for values in read.values():
        values.requires_grad_()
    operator(seen)[0].square().sum().backward()
    assert all(values.grad.flatten(start_dim=1).any(dim=1).all() for values in read.values())


def test_the_gradient_reaches_every_parameter(variant):
    operator = in_training(built(variant))
    seen = batch()
    for values in seen.projected.values():
        values.requires_grad_()  # some operators have no parameters
    fused, terms = operator(seen)
    # No weights of 1: a norm's entries add up to a constant.
    weights = torch.linspace(0.5, 1.5, fused.shape[1])
    (torch.stack([(fused * weights).square().sum(), *terms.values()])).sum().backward()
    idle = {name for name, one in operator.named_parameters() if not one.grad.any()}
    assert not {name for name in idle if "key.bias" not in name}  # a softmax is blind to those


def test_what_is_in_the_padding_never_matters(variant):
    operator, seen = in_training(built(variant)), batch()
    frames = {
        name: torch.where(
            (torch.arange(T) < LENGTHS[name][:, None])[:, :, None], values, torch.tensor(1e3)
        )
        for name, values in seen.frames.items()
    }
    plain, other = operator(seen), operator(dataclasses.replace(seen, frames=frames))
    assert torch.equal(plain[0], other[0])
    assert all(torch.equal(plain[1][name], other[1][name]) for name in plain[1])


def test_more_padding_never_matters(variant):
    operator, seen = built(variant), batch()
    longer = {
        name: torch.cat([values, torch.full((B, 3, D), 7.0)], dim=1)
        for name, values in seen.frames.items()
    }
    found, _ = operator(dataclasses.replace(seen, frames=longer))
    torch.testing.assert_close(found, operator(seen)[0])


def test_an_utterance_without_a_valid_frame_is_finite_in_value_and_gradient(variant):
    operator, seen = in_training(built(variant)), batch()
    seen = dataclasses.replace(
        seen, lengths={name: of * torch.tensor([1, 0, 1, 0, 1]) for name, of in LENGTHS.items()}
    )
    read = [*seen.frames.values(), *seen.projected.values()]
    for values in read:
        values.requires_grad_()
    fused, terms = operator(seen)
    total = torch.stack([fused.square().sum(), *terms.values()]).sum()
    assert total.isfinite()
    total.backward()
    gradients = [one.grad for one in [*read, *operator.parameters()] if one.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def without(seen, missing):
    """As a model hands it over where a modality is not there: its vectors and frames are zeros."""
    present = {name: torch.ones(B) for name in seen.projected}
    for name, rows in missing.items():
        present[name][rows] = 0.0
    return dataclasses.replace(
        seen,
        projected={name: rows_BD * present[name][:, None] for name, rows_BD in
                   seen.projected.items()},
        frames={name: of * present[name][:, None, None] for name, of in seen.frames.items()},
        present=present,
    )  # fmt: skip


@pytest.mark.parametrize("missing", MODALITIES)
def test_what_is_not_there_cannot_leak(variant, missing):
    """Whatever its vectors, frames, length and own prediction were: nothing changes by a bit."""
    operator, seen = in_training(built(variant)), batch()
    other = batch(seed=99)
    changed = dataclasses.replace(
        seen,
        projected={**seen.projected, missing: other.projected[missing]},
        frames={**seen.frames, missing: other.frames[missing]},
        unimodal={**seen.unimodal, missing: other.unimodal[missing]},
        lengths={**seen.lengths, missing: LENGTHS[missing].flip(0)},
    )
    everyone = {missing: slice(None)}
    first, second = operator(without(seen, everyone)), operator(without(changed, everyone))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    assert not torch.equal(operator(seen)[0], operator(changed)[0])


def test_utterances_that_have_everything_do_not_notice_others_that_lack_something(variant):
    operator, seen = built(variant), batch()
    whole, _ = operator(seen)
    parts, _ = operator(without(seen, {"audio": [1, 3], "text": [3]}))
    torch.testing.assert_close(parts[[0, 2, 4]], whole[[0, 2, 4]])
    assert (parts - whole).abs().amax(dim=1)[[1, 3]].min() > 1e-4


def test_with_nothing_there_value_and_gradient_are_finite(variant):
    operator = in_training(built(variant))
    fused, terms = operator(without(batch(), {name: slice(None) for name in MODALITIES}))
    total = torch.stack([fused.square().sum(), *terms.values()]).sum()
    assert total.isfinite()
    if total.requires_grad:
        total.backward()
        gradients = [one.grad for one in operator.parameters() if one.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_an_operator_drops_in_training_only(variant):
    operator, seen = built(variant), batch()
    plain, _ = operator(seen)
    dropouts = [module for module in operator.modules() if isinstance(module, Dropout)]
    for module in dropouts:
        module.drawn = torch.zeros(B, module.width) if module.rate else module.drawn
    assert torch.equal(operator(seen)[0], plain)
    drops = any(module.rate for module in dropouts)
    assert drops == (variant == "mult")
    assert torch.equal(operator.train()(seen)[0], plain) != drops


def test_the_terms_are_those_of_the_options_and_come_in_training_only(variant):
    operator = built(variant)
    named = {
        field.name
        for field in dataclasses.fields(operator.options)
        if isinstance(getattr(operator.options, field.name), WeightedTerm)
        and getattr(operator.options, field.name).weight > 0
    }
    assert operator(batch())[1] == {}
    _, terms = in_training(operator)(batch())
    assert set(terms) == named
    assert all(raw.shape == () and raw.isfinite() and raw >= 0 for raw in terms.values())


# What a pack asks of them.


def stacked(operator, members, seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(members, *shape, generator=generator)

    parameters = {
        name: draw(*parameter.shape) / 2 for name, parameter in operator.named_parameters()
    }
    inputs = {
        "projected": {name: draw(B, D) for name in MODALITIES},
        "frames": {name: draw(B, T, D) for name in MODALITIES},
        "unimodal": {name: draw(B) for name in MODALITIES},
    }
    return parameters, inputs


def of_member(operator):
    shared = batch()

    def function(parameters, inputs):
        seen = dataclasses.replace(shared, **inputs)
        fused, terms = torch.func.functional_call(operator, parameters, (seen,))
        return torch.cat([fused.flatten(), *(raw[None] for raw in terms.values())])

    return function


def test_members_at_once_get_what_each_gets_alone(variant):
    operator = in_training(built(variant))
    parameters, inputs = stacked(operator, 3, seed=0)
    function = of_member(operator)
    together = torch.func.vmap(function)(parameters, inputs)
    for member in range(3):
        own = {name: values[member] for name, values in parameters.items()}
        seen = {
            part: {name: values[member] for name, values in of.items()}
            for part, of in inputs.items()
        }
        torch.testing.assert_close(together[member], function(own, seen), rtol=1e-4, atol=1e-5)


def test_what_was_recorded_gives_the_same_bits_for_other_inputs(variant):
    operator = in_training(built(variant))

    def step(stack):
        parameters, inputs = stack
        read = {
            part: {name: values.detach().requires_grad_() for name, values in of.items()}
            for part, of in inputs.items()
        }
        leaves = [values for of in read.values() for values in of.values()]
        values = torch.func.vmap(of_member(operator))(parameters, read)
        gradients = torch.autograd.grad(values.square().sum(), leaves, materialize_grads=True,
                                        allow_unused=True)  # fmt: skip
        return {"values": values.detach(), "gradients": tuple(gradients)}

    recordings = Recordings()
    recordings.call(step, stacked(operator, 3, seed=1))
    repeated = recordings.call(step, stacked(operator, 3, seed=2))
    expected = step(stacked(operator, 3, seed=2))
    assert torch.equal(repeated["values"], expected["values"])
    for found, wanted in zip(repeated["gradients"], expected["gradients"], strict=True):
        assert torch.equal(found, wanted)
