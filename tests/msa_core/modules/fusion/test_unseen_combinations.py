"""Method 6, reorganised sums for modalities that never met: every answer known in advance.

Shapes: B utterances, T steps, S slots, D = width of a projected modality.
"""

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.fusion import FusionConfig
from msa_core.config.kinds import module_of
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.modules.fusion.base import present_lengths
from msa_core.modules.fusion.reorg import curve_at
from msa_core.modules.parts.frames import masked_mean
from msa_core.modules.parts.inputs import EncodedBatch
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace

SEED = 6  # of `draw`

B, T, D = 4, 5, 4
LENGTHS = torch.tensor([5, 2, 3, 1])


@pytest.fixture
def build(draw):
    def build(modalities=MODALITIES, **changes):
        options = {f"reorg_sum.{path.replace('__', '.')}": of for path, of in changes.items()}
        own = replace(FusionConfig(), {"reorg_sum.heads": 1, **options}).reorg_sum
        operator = module_of(Config, "fusion", "reorg_sum")(modalities, D, own).double()
        with torch.no_grad():
            for parameter in operator.parameters():
                parameter.copy_(draw(*parameter.shape))
        return operator

    return build


@pytest.fixture
def batch(draw):
    def batch(frames=None, modalities=MODALITIES, **more):
        own = draw(3, B, T, D) if frames is None else frames
        given = {"labels": draw(B), "lengths": dict.fromkeys(modalities, LENGTHS), **more}
        frames = dict(zip(modalities, own, strict=False))
        return EncodedBatch(features={}, encoded={}, projected={}, frames=frames, **given)

    return batch


def slots_of(operator, seen, name):
    return operator._sort_frames(name, seen, present_lengths(seen)[name])


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_shares_add_up_to_1_so_the_slots_add_up_to_the_frames(build, batch, slots):
    """Mass conservation: sum_k F_m[k] = sum_n X_m[n]."""
    operator, seen = build(slots=slots), batch()
    for name in MODALITIES:
        total = masked_mean(seen.frames[name], LENGTHS) * LENGTHS[:, None]
        found = slots_of(operator, seen, name)
        assert found.shape == (B, slots, D)
        torch.testing.assert_close(found.sum(dim=1), total)


def test_one_slot_is_sum_pooling(build, batch):
    operator, seen = build(slots=1), batch()
    for row, length in enumerate(LENGTHS.tolist()):
        expected = seen.frames["audio"][row, :length].sum(dim=0)
        torch.testing.assert_close(slots_of(operator, seen, "audio")[row, 0], expected)


def test_slots_are_soft_and_not_even(build, batch):
    """Otherwise sorting would be no more than a sum."""
    found = slots_of(build(slots=3), batch(), "text")
    assert (found - found.mean(dim=1, keepdim=True)).abs().max() > 0.1


@pytest.mark.parametrize("changes", [{}, {"pool": "mean"}, {"reorganise": False}])
def test_without_a_modality_nothing_depends_on_it_by_a_bit(build, batch, draw, changes):
    operator, frames = build(**changes).train(), draw(3, B, T, D)
    present = {name: torch.ones(B, dtype=torch.float64) for name in MODALITIES}
    present["vision"] = torch.zeros(B, dtype=torch.float64)
    frames[2] = 0.0  # as a model hands it over
    labels = draw(B)
    lengths = dict.fromkeys(MODALITIES, LENGTHS)
    other = {**lengths, "vision": LENGTHS.flip(0)}
    first = operator(batch(frames, present=present, labels=labels, lengths=lengths))
    second = operator(batch(frames, present=present, labels=labels, lengths=other))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1]["label_curve"], second[1]["label_curve"])
    alone, _ = build_like(operator, MODALITIES[:2], changes)(batch(frames[:2], MODALITIES[:2]))
    torch.testing.assert_close(alone, first[0])


def build_like(operator, modalities, changes):
    """The same parameters, of fewer modalities."""
    own = {f"reorg_sum.{path}": of for path, of in {"heads": 1, **changes}.items()}
    options = replace(FusionConfig(), own).reorg_sum
    fewer = module_of(Config, "fusion", "reorg_sum")(modalities, D, options).double()
    state = operator.state_dict()
    fewer.load_state_dict({name: state[name] for name in fewer.state_dict()})
    return fewer


def test_a_sum_of_modalities_grows_with_them_and_a_mean_does_not(build, batch, draw):
    frames, mean = draw(1, B, T, D).expand(3, B, T, D), build(reorganise=False, pool="mean")
    alone = build_like(mean, MODALITIES[:1], {"reorganise": False, "pool": "mean"})
    torch.testing.assert_close(mean(batch(frames))[0], alone(batch(frames[:1], MODALITIES[:1]))[0])
    total = build_like(mean, MODALITIES, {"reorganise": False})
    assert (total(batch(frames))[0] - mean(batch(frames))[0]).abs().max() > 1e-3


def test_without_reorganisation_a_modality_is_the_mean_of_its_frames(build, batch):
    operator, seen = build(reorganise=False), batch()
    found = slots_of(operator, seen, "text")
    torch.testing.assert_close(found[:, 0], masked_mean(seen.frames["text"], LENGTHS))
    assert not operator.sorters


# The label curve.


def test_the_curve_goes_through_its_points_and_straight_between_them(draw):
    curve = draw(7, D)
    labels = torch.tensor([-3.0, -2.0, 0.0, 3.0, 0.25, -2.5, 9.0], dtype=torch.float64)
    found = curve_at(labels, curve, 3.0)
    known = [curve[0], curve[1], curve[3], curve[6], 0.75 * curve[3] + 0.25 * curve[4],
             (curve[0] + curve[1]) / 2, curve[6]]  # fmt: skip
    torch.testing.assert_close(found, torch.stack(known))


def test_the_label_term_is_the_squared_distance_of_the_mean_slot_from_the_curve(build, batch):
    operator = build(slots=3).train()
    seen = batch()
    wanted = curve_at(seen.labels, operator.curve, 3.0)
    distances = [
        (slots_of(operator, seen, name).mean(dim=1) - wanted).square().sum(dim=1).mean()
        for name in MODALITIES
    ]
    torch.testing.assert_close(operator(seen)[1]["label_curve"], sum(distances) / 3)


def test_a_modality_on_the_curve_has_no_label_term(build, batch, draw):
    """Every frame is the curve's point, and one slot is their mean."""
    operator, labels = build(reorganise=False).train(), draw(B)
    point = curve_at(labels, operator.curve, 3.0).detach()
    on_it = batch(point[None, :, None].expand(3, B, T, D), labels=labels)
    assert operator(on_it)[1]["label_curve"].item() == pytest.approx(0.0, abs=1e-20)


# The pseudo branch.


def test_the_pseudo_branch_follows_the_mean_of_the_unimodal_predictions(build, batch, draw):
    operator = build(pseudo__weight=1).train()
    with torch.no_grad():
        operator.pseudo.weight.zero_()
        operator.pseudo.bias.fill_(0.5)
    unimodal = {name: draw(B).requires_grad_() for name in MODALITIES}
    raw = operator(batch(unimodal=unimodal))[1]["pseudo"]
    mean = torch.stack(list(unimodal.values())).mean(dim=0)
    torch.testing.assert_close(raw, (0.5 - mean).abs().mean())
    raw.backward()
    assert all(prediction.grad is None for prediction in unimodal.values())  # they are fixed
    assert operator.pseudo.bias.grad is not None


def test_the_pseudo_branch_follows_those_that_are_there(build, batch, draw):
    operator = build(pseudo__weight=1).train()
    with torch.no_grad():
        operator.pseudo.weight.zero_()
        operator.pseudo.bias.zero_()
    values = torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float64).expand(3, B)
    there = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.float64)
    seen = batch(
        unimodal=dict(zip(MODALITIES, values, strict=True)),
        present=dict(zip(MODALITIES, there, strict=True)),
    )
    # Means 3, 3.5 and 6; the last row has nobody to follow.
    assert operator(seen)[1]["pseudo"].item() == pytest.approx((3 + 3.5 + 6) / 3)


def test_the_pseudo_branch_is_there_only_where_it_counts(build, batch):
    off, on = build(), build(pseudo__weight=1)
    names = {name for name, _ in on.named_parameters()} - {name for name, _ in
                                                           off.named_parameters()}  # fmt: skip
    assert names == {"pseudo_token", "pseudo.weight", "pseudo.bias"}
    assert set(off.train()(batch())[1]) == {"label_curve"}
    assert "curve" not in dict(build(label_curve__weight=0).named_parameters())


def test_a_pseudo_branch_without_unimodal_heads_is_refused():
    frames = {f"model.{name}.encoder": "conv" for name in MODALITIES}
    base = replace(Config(), {**frames, "model.fusion.kind": "reorg_sum"})
    check_config(base, "mosi")
    pseudo = replace(base, {"model.fusion.reorg_sum.pseudo.weight": 0.5})
    heads = {"loss.unimodal.kind": "fixed"}
    check_config(replace(pseudo, heads), "mosi")
    weightless = {f"loss.unimodal.{name}.weight": 0 for name in MODALITIES}
    for without in ({}, {**heads, **weightless}):
        with pytest.raises(ConfigError, match=r"set 'loss\.unimodal\.kind: fixed'"):
            check_config(replace(pseudo, without), "mosi")
