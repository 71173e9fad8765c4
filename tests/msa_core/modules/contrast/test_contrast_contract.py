"""What every contrast promises the pack, bound to each of them.

Shapes: K members, B utterances, T frames, D = width of a projected modality.
"""

import pytest
import torch

# Imported for what it sets: MKL gives a member the same bits wherever it lies in memory.
import msa_core.vectorised.stack  # noqa: F401
from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of
from msa_core.config.schema import Config
from msa_core.tensors.recorded_ops import Recordings

SEED = 5  # of `draw`

D, FUSED = 4, 6
FEATURES = {"text": 7, "audio": 5, "vision": 3}
VARIANTS = {
    **{kind: {} for kind in kinds_of(Config, "contrast")},
    "anchor, own": {"anchor": "own"},
    "instance, moving": {"stop_gradient": False},
    "icl, mean": {"uncertainty": False},
    "ial, equal": {"joint": "equal", "uncertainty": False},
    "rbc, product": {"posterior": "product", "bound": "elbo", "negatives": "cubo"},
    "rbc, alone": {"contrast": False},
    "bound, normalised": {"normalised": True, "memory": 5},
}


def encode(name, features):
    """Something that depends on all features, like an encoder and a projection."""
    rows_BF = features if features.dim() == 2 else features.sum(dim=1)
    places = torch.arange(rows_BF.shape[1] * D, dtype=rows_BF.dtype)
    return rows_BF @ (2.0 * places).sin().view(-1, D)


@pytest.fixture(params=sorted(VARIANTS))
def variant(request):
    return request.param


@pytest.fixture
def build(variant, contrasting, sized):
    def build(rows=8, **how):
        kind, options = variant.split(",")[0], VARIANTS[variant]
        return contrasting(kind, sized(D, FEATURES, FUSED), rows=rows, **options, **how)

    return build


@pytest.fixture
def batch(draw, seeing):
    """A batch whose vectors can be differentiated; frames of one modality, means of the others."""

    def batch(rows=8, dtype=torch.float64, change=lambda tensor: tensor):
        def of(*shape):
            return change(draw(*shape)).to(dtype).detach().clone().requires_grad_()

        return seeing(
            {name: of(rows, D) for name in MODALITIES},
            features={
                "text": of(rows, FEATURES["text"]),
                "audio": of(rows, 3, FEATURES["audio"]),
                "vision": of(rows, FEATURES["vision"]),
            },
            lengths={"audio": torch.arange(rows) % 4},
            labels=change(draw(rows)).to(dtype),
            fused=of(rows, FUSED),
            encode=encode,
        )

    return batch


def leaves(contrast, seen):
    """What a gradient may reach."""
    parameters = [contrast.tensors[name] for name in contrast.parameters]
    return [*parameters, *seen.projected.values(), *seen.features.values(), seen.fused]


def gradients(term, reached):
    return torch.autograd.grad(term, reached, allow_unused=True)


def one_row(tensor):
    return tensor[:1].expand_as(tensor)


EDGES = {"two": (2, lambda tensor: tensor), "three": (3, lambda tensor: tensor),
         "equal": (6, one_row), "zero": (6, torch.zeros_like)}  # fmt: skip


@pytest.mark.parametrize("edge", sorted(EDGES))
def test_values_and_gradients_are_finite_at_the_edges(build, batch, edge):
    rows, change = EDGES[edge]
    contrast, seen = build(rows, dtype=torch.float32), batch(rows, torch.float32, change)
    for _ in range(2):  # with and without a past
        term = contrast(seen)
        assert term.shape == ()
        assert term.isfinite()
        for gradient in gradients(term, leaves(contrast, seen)):
            assert gradient is None or gradient.isfinite().all()


def test_it_moves_the_vectors_and_every_parameter_of_its_own(build, batch, variant):
    contrast, seen = build(), batch()
    own, vectors = len(contrast.parameters), len(seen.projected)
    found = gradients(contrast(seen), leaves(contrast, seen))
    assert all(gradient is not None and gradient.any() for gradient in found[:own])
    reached = found[own : own + vectors]
    if not variant.startswith("views"):  # which moves the encoders, through other vectors
        assert all(gradient is not None and gradient.any() for gradient in reached)


def test_no_gradient_reaches_frozen_features(build, batch, variant):
    contrast, seen = build(), batch()
    features = list(seen.features.values())
    found = gradients(contrast(seen), features)
    assert variant.startswith("views") or found == (None,) * 3


def test_it_gives_the_same_twice(build, batch):
    seen = batch()
    first, second = (build()(seen) for _ in range(2))
    assert torch.equal(first, second)


def test_inputs_are_left_as_they_are(build, batch):
    seen = batch()
    before = [tensor.detach().clone() for tensor in (*seen.projected.values(), seen.labels)]
    build()(seen)
    after = [*seen.projected.values(), seen.labels]
    assert all(map(torch.equal, before, after))


def packed(members, batches):
    """Terms, gradients of the vectors, and what is kept, of all members at once."""
    module = members[0].module

    def call(tensors, parts):
        seen = type(batches[0])(encode=encode, **parts)
        term = torch.func.functional_call(module, tensors, (seen, members[0].numbers))
        return term

    tensors = {
        name: torch.stack([member.tensors[name].detach() for member in members])
        for name in members[0].tensors
    }
    parts = [
        {
            "features": seen.features, "lengths": seen.lengths, "encoded": {},
            "projected": seen.projected, "labels": seen.labels, "fused": seen.fused,
        }
        for seen in batches
    ]  # fmt: skip
    stacked = {
        name: {key: torch.stack([one[name][key].detach() for one in parts]) for key in part}
        if isinstance(part, dict)
        else torch.stack([one[name].detach() for one in parts])
        for name, part in parts[0].items()
    }
    reached = [value.requires_grad_() for value in stacked["projected"].values()]
    terms_K = torch.func.vmap(call)(tensors, stacked)
    found = (
        torch.autograd.grad(terms_K.sum(), reached, materialize_grads=True)
        if terms_K.requires_grad
        else [torch.zeros_like(one) for one in reached]
    )
    return terms_K.detach(), found


def test_members_at_once_get_what_each_gets_alone(build, batch):
    members, batches = [build(seed=seed) for seed in range(3)], [batch() for _ in range(3)]
    terms_K, found = packed(members, batches)
    for place, (member, seen) in enumerate(zip(members, batches, strict=True)):
        term = member(seen)
        torch.testing.assert_close(terms_K[place], term.detach())
        for gradient, own in zip(found, gradients(term, [*seen.projected.values()]), strict=True):
            torch.testing.assert_close(gradient[place], gradient[place] * 0 if own is None else own)


def test_a_member_gets_the_same_bits_in_a_pack_of_2_and_in_one_of_8(build, batch):
    members = [build(seed=seed, dtype=torch.float32) for seed in range(8)]
    batches = [batch(dtype=torch.float32) for _ in range(8)]
    of_eight, of_two = packed(members, batches), packed(members[:2], batches[:2])
    assert torch.equal(of_eight[0][:2], of_two[0])
    for large, small in zip(of_eight[1], of_two[1], strict=True):
        assert torch.equal(large[:2], small)


def test_what_was_recorded_gives_the_same_bits_for_other_vectors(build, batch):
    contrast, recordings = build(), Recordings()

    def step(projected):
        leaves = {name: rows.detach().requires_grad_() for name, rows in projected.items()}
        seen = type(example)(**{**parts, "projected": leaves})
        tensors = {name: value.detach() for name, value in contrast.tensors.items()}
        term = torch.func.functional_call(contrast.module, tensors, (seen, contrast.numbers))
        if not term.requires_grad:
            return {"term": term}
        return {"term": term, "slopes": torch.autograd.grad(term, list(leaves.values()))}

    example, other = batch(), batch()
    parts = {
        "features": {name: rows.detach() for name, rows in example.features.items()},
        "lengths": example.lengths, "encoded": {}, "labels": example.labels,
        "fused": example.fused.detach(), "encode": encode,
    }  # fmt: skip
    recordings.call(step, example.projected)
    repeated = recordings.call(step, other.projected)
    expected = step(other.projected)
    assert torch.equal(repeated["term"], expected["term"])
    for found, wanted in zip(repeated.get("slopes", ()), expected.get("slopes", ()), strict=True):
        assert torch.equal(found, wanted)
