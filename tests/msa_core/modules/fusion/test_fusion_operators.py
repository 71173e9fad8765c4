"""Method 12, fusion operators with parameters: every answer known in advance.

Shapes: B utterances, T steps, D = width of a projected modality.
"""

import itertools
import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.fusion import FusionConfig
from msa_core.config.kinds import module_of
from msa_core.config.schema import Config
from msa_core.modules.alignment.measures import central_moment_discrepancy
from msa_core.modules.contrast.estimators import difference_loss
from msa_core.modules.parts.attention import Attention, AttentionLayer
from msa_core.modules.parts.inputs import EncodedBatch
from spaces.fields.paths import replace

SEED = 12  # of `draw`

B, T, D = 5, 4, 2
HEADS = {"mult.heads": 1, "misa.heads": 1, "mult.dropout": 0.0}


@pytest.fixture
def build(draw):
    def build(kind, modalities=MODALITIES, **changes):
        options = {f"{kind}.{path.replace('__', '.')}": value for path, value in changes.items()}
        own = getattr(replace(FusionConfig(), {**HEADS, **options}), kind)
        operator = module_of(Config, "fusion", kind)(modalities, D, own).double()
        with torch.no_grad():
            for parameter in operator.parameters():
                parameter.copy_(draw(*parameter.shape))
        return operator

    return build


def seen(vectors, **more):
    projected = dict(zip(MODALITIES, vectors, strict=False))
    return EncodedBatch(features={}, lengths={}, encoded={}, projected=projected,
                labels=torch.zeros(len(vectors[0])), **more)  # fmt: skip


def fill(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values, dtype=parameter.dtype))


# gated


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_equal_gates_give_the_mean(build, draw, gate):
    """Of what the values' products give; the gates of a sigmoid are 1/2 each, not 1/3."""
    operator, vectors = build("gated", gate=gate), draw(3, B, D)
    fill(operator.gate.weight, torch.zeros(3, 3 * D))
    fill(operator.gate.bias, torch.zeros(3))
    for name in MODALITIES:
        fill(operator.values[name].weight, torch.eye(D))
    scale = 1.0 if gate == "softmax" else 3 / 2
    torch.testing.assert_close(operator(seen(vectors))[0], scale * vectors.mean(dim=0))


def test_equal_gates_give_the_mean_of_the_modalities_that_are_there(build, draw):
    operator, vectors = build("gated"), draw(3, 2, D)
    fill(operator.gate.weight, torch.zeros(3, 3 * D))
    fill(operator.gate.bias, torch.zeros(3))
    present = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    for name in MODALITIES:
        fill(operator.values[name].weight, torch.eye(D))
    found, _ = operator(seen(vectors * present[:, :, None],
                             present=dict(zip(MODALITIES, present, strict=True))))  # fmt: skip
    torch.testing.assert_close(found[0], vectors[:, 0].mean(dim=0))
    torch.testing.assert_close(found[1], vectors[0, 1])


def test_a_gate_that_is_certain_lets_one_modality_through(build, draw):
    operator, vectors = build("gated"), draw(3, B, D)
    fill(operator.gate.weight, torch.zeros(3, 3 * D))
    fill(operator.gate.bias, [0.0, 100.0, 0.0])
    expected = vectors[1] @ operator.values["audio"].weight.T
    torch.testing.assert_close(operator(seen(vectors))[0], expected)


# lmf


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_lmf_equals_the_tensor_product_contracted_with_its_factors(build, draw, modalities):
    """W = sum_r w_r F_1^r x ... x F_M^r, built here and nowhere else."""
    names, rank = MODALITIES[:modalities], 3
    operator, vectors = build("lmf", names, rank=rank), draw(modalities, B, D)
    product, _ = module_of(Config, "fusion", "tfn")(names, D, None)(seen(vectors))
    factors = [getattr(operator, f"factor_{name}").view(rank, D, D + 1) for name in names]
    whole = torch.zeros(D, (D + 1) ** modalities, dtype=torch.float64)
    for r, out in itertools.product(range(rank), range(D)):
        outer = operator.weights[r]
        for factor in factors:
            outer = (outer[..., None] * factor[r, out]) if outer.dim() else outer * factor[r, out]
        whole[out] += outer.detach().flatten()
    torch.testing.assert_close(operator(seen(vectors))[0], product @ whole.T)


def test_lmf_of_rank_1_and_width_1_is_a_product_of_lines():
    operator = module_of(Config, "fusion", "lmf")(
        MODALITIES, 1, replace(FusionConfig(), {"lmf.rank": 1}).lmf
    )
    for name, line in zip(MODALITIES, ([1.0, 2.0], [0.0, 1.0], [-1.0, 1.0]), strict=True):
        fill(getattr(operator, f"factor_{name}"), [line])
    fill(operator.weights, [0.5])
    vectors = [torch.tensor([[value]]) for value in (1.0, 2.0, 3.0)]
    assert operator(seen(vectors))[0].item() == 0.5 * (1 + 2) * 2 * (-1 + 3)


# mult


def test_constant_keys_give_the_mean_of_the_values(draw):
    attention, asking, context = Attention(D, 1).double(), draw(B, 3, D), draw(B, T, D)
    for layer in (attention.query, attention.value):
        fill(layer.weight, draw(D, D))
        fill(layer.bias, draw(D))
    fill(attention.output.weight, torch.eye(D))
    fill(attention.key.weight, torch.zeros(D, D))
    fill(attention.key.bias, draw(D))
    lengths = torch.tensor([4, 1, 2, 3, 4])
    found = attention(asking, context, torch.arange(T) < lengths[:, None])
    values = context @ attention.value.weight.T + attention.value.bias
    for row, length in enumerate(lengths.tolist()):
        mean = values[row, :length].mean(dim=0)
        torch.testing.assert_close(found[row], mean.expand(3, D))


def test_a_fully_masked_modality_gives_the_residual_only_and_no_nan(draw):
    layer, frames = AttentionLayer(D, 1, 0.0).double(), draw(B, T, D)
    for name, parameter in layer.named_parameters():
        fill(parameter, torch.zeros_like(parameter) if "narrow" in name else
             draw(*parameter.shape))  # fmt: skip
    context = draw(B, T, D).requires_grad_()
    attended = layer(frames, torch.zeros(B, T, dtype=torch.bool), context)
    assert torch.equal(attended, frames)
    attended.sum().backward()
    assert torch.equal(context.grad, torch.zeros_like(context))
    assert all(one.grad.isfinite().all() for one in layer.parameters() if one.grad is not None)


def test_a_modality_without_frames_is_never_heard_by_the_others(build, draw):
    """And is zeros itself: no length and no content of it changes a bit."""
    operator = build("mult")
    frames = dict(zip(MODALITIES, draw(3, B, T, D), strict=True))
    lengths = {name: torch.full((B,), T) for name in MODALITIES}
    lengths["audio"] = torch.zeros(B, dtype=torch.int64)

    def fused(audio):
        return operator(EncodedBatch(features={}, lengths=lengths, encoded={}, projected={},
                             frames={**frames, "audio": audio}, labels=draw(0)))[0]  # fmt: skip

    found = fused(frames["audio"])
    assert torch.equal(found, fused(draw(B, T, D)))
    text, audio, vision = found.split(2 * D, dim=1)
    assert not audio.any()
    assert text.any(dim=1).all()
    assert vision.any(dim=1).all()


def test_there_are_six_directed_attentions_between_three_modalities(build):
    directed = {f"{p}_from_{q}" for p, q in itertools.permutations(MODALITIES, 2)}
    assert set(build("mult").across) == directed
    assert len(directed) == 6
    assert not build("mult", MODALITIES[:1]).across


# misa


def logit(values):
    return torch.log(values / (1 - values))


def with_codes(build, codes, **changes):
    """An operator whose shared code is the sigmoid of what it is given, and that input."""
    operator = build("misa", MODALITIES[: len(codes)], **changes).train()
    fill(operator.shared.weight, torch.eye(D))
    fill(operator.shared.bias, torch.zeros(D))
    return operator, seen([logit(code) for code in codes])


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_the_similarity_of_codes_shifted_by_0_3_is_known(build):
    """sqrt(2) * .3 for the shifted pairs, over all three pairs."""
    code = points([0.2, 0.3], [0.5, 0.4], [0.3, 0.6])
    operator, batch = with_codes(build, [code, code + 0.3])
    assert operator(batch)[1]["similarity"].item() == pytest.approx(0.424264, abs=1e-6)
    operator, batch = with_codes(build, [code, code + 0.3, code])
    assert operator(batch)[1]["similarity"].item() == pytest.approx(2 / 3 * 0.424264, abs=1e-6)


def test_the_similarity_of_equal_codes_is_0(build):
    code = points([0.2, 0.3], [0.5, 0.4], [0.3, 0.6])
    operator, batch = with_codes(build, [code] * 3)
    assert operator(batch)[1]["similarity"].item() == 0.0


def test_the_similarity_of_points_and_of_the_same_halved_is_known(build):
    """The known value is of points at +-.5; a sigmoid stays inside (0, 1), so half of them: each
    moment's difference is then a 2^k-th of it."""
    points_half = points([0.75, 0.75], [0.25, 0.25])
    operator, batch = with_codes(build, [points_half, (points_half + 0.5) / 2])
    moments = {2: 3 / 16 / 4, 4: 15 / 256 / 16}
    of_whole_points = math.sqrt(2) * sum(of * 2**order for order, of in moments.items())
    assert of_whole_points == pytest.approx(0.348029, abs=1e-6)
    found = operator(batch)[1]["similarity"].item()
    assert found == pytest.approx(math.sqrt(2) * sum(moments.values()), rel=1e-6)


def test_the_terms_of_misa_are_those_of_its_codes(build, draw):
    operator, vectors = build("misa").train(), draw(3, B, D)
    _, terms = operator(seen(vectors))
    shared = [torch.sigmoid(operator.shared(one)) for one in vectors]
    private = [
        torch.sigmoid(operator.private[name](one))
        for name, one in zip(MODALITIES, vectors, strict=True)
    ]
    pairs = list(itertools.combinations(range(3), 2))
    similarity = sum(central_moment_discrepancy(shared[i], shared[j]) for i, j in pairs) / 3
    difference = sum(difference_loss(private[i], shared[i]) for i in range(3)) + sum(
        difference_loss(private[i], private[j]) for i, j in pairs
    )
    rebuilt = [
        (operator.decoders[name](shared[i] + private[i]) - vectors[i]).square().mean()
        for i, name in enumerate(MODALITIES)
    ]
    torch.testing.assert_close(terms["similarity"], similarity)
    torch.testing.assert_close(terms["difference"], difference)
    torch.testing.assert_close(terms["reconstruction"], sum(rebuilt) / 3)


def test_the_difference_of_codes_that_move_together_is_1_a_pair_and_of_constant_ones_0(build):
    """Two utterances and two columns: three pairs of shared and private, three of private."""
    vectors = [points([1.0, 2.0], [-1.0, -3.0])] * 3
    operator = build("misa").train()
    for layer in (operator.shared, *operator.private.values()):
        fill(layer.weight, torch.eye(D))
    assert operator(seen(vectors))[1]["difference"].item() == pytest.approx(6.0, rel=1e-4)
    for layer in operator.private.values():
        fill(layer.weight, torch.zeros(D, D))
    assert operator(seen(vectors))[1]["difference"].item() == 0.0


def test_a_decoder_that_undoes_the_codes_leaves_nothing_to_reconstruct(build, draw):
    """The private code is 1/2 everywhere, the shared one s: z = logit(s), here of one value."""
    operator = build("misa", MODALITIES[:1]).train()
    fill(operator.shared.weight, torch.zeros(D, D))
    fill(operator.shared.bias, torch.zeros(D))
    fill(operator.private["text"].weight, torch.zeros(D, D))
    fill(operator.private["text"].bias, torch.zeros(D))
    fill(operator.decoders["text"].weight, torch.eye(D))
    fill(operator.decoders["text"].bias, torch.zeros(D))
    ones = torch.ones(B, D, dtype=torch.float64)
    assert operator(seen([ones]))[1]["reconstruction"].item() == 0.0
    assert operator(seen([3 * ones]))[1]["reconstruction"].item() == 4.0


def test_utterances_that_lack_a_modality_add_nothing_to_its_terms(build, draw):
    operator, vectors = build("misa").train(), draw(3, B, D)
    present = torch.ones(3, B, dtype=torch.float64)
    present[1, [1, 3]] = 0.0

    def terms(audio):
        rows = torch.stack([vectors[0], audio, vectors[2]]) * present[:, :, None]
        return operator(seen(rows, present=dict(zip(MODALITIES, present, strict=True))))[1]

    other = vectors[1].clone()
    other[[1, 3]] = draw(2, D)
    for name, raw in terms(vectors[1]).items():
        assert torch.equal(raw, terms(other)[name])
    rest = build("misa").train()
    rest.load_state_dict(operator.state_dict())
    present[:, [1, 3]] = 0.0  # nobody has them: means and reconstruction are of the other rows
    kept = rest(seen(vectors[:, [0, 2, 4]]))[1]
    torch.testing.assert_close(terms(vectors[1])["reconstruction"], kept["reconstruction"])


def test_a_term_of_weight_0_is_not_built(build):
    full = build("misa")
    without = build("misa", similarity__weight=0, difference__weight=0, reconstruction__weight=0)
    assert set(dict(full.named_parameters())) - set(dict(without.named_parameters())) == {
        f"decoders.{name}.{part}" for name in MODALITIES for part in ("weight", "bias")
    }
    assert without.train()(seen(torch.ones(3, B, D, dtype=torch.float64)))[1] == {}
