"""The parameters of a pack side by side, and the Adam that moves each member as if alone.

Shapes: K members, P parameters of one member.
"""

import pytest
import torch

from msa_core.tensors.parameters import WHOLE, Parameters, RowAdam

CPU = torch.device("cpu")
SHAPES = {"first.weight": (3, 4), "first.bias": (3,), "last.weight": (1, 3), "last.bias": (1,)}
K, P = 3, 19
ROW = 64  # P, filled up
# Learning rate and weight decay of each member.
OWN = [(0.1, 0.0), (0.003, 0.3), (0.02, 1e-3)]
LAYOUTS = pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])


@pytest.fixture(params=["one fused call a member", "a few calls for all"])
def way(request, monkeypatch):
    """Both ways in which a step is done."""
    if request.param == "a few calls for all":
        fused = RowAdam._update_fused

        def all_rows(adam, block, gradients):
            if adam._parameters.axis is None:
                fused(adam, block, gradients)
            else:
                adam._update_all_rows(block, torch.stack([own for (own,) in gradients]))

        monkeypatch.setattr(RowAdam, "_update_fused", all_rows)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.fixture
def members(draw):
    return [{name: draw(*shape) for name, shape in SHAPES.items()} for _ in range(K)]


class Alone:
    """One member, moved by PyTorch's Adam."""

    def __init__(self, member, rate, decay):
        self.member = {name: value.clone().requires_grad_() for name, value in member.items()}
        self.adam = torch.optim.Adam(self.member.values(), lr=rate, weight_decay=decay)

    def step(self, gradients):
        for name, gradient in gradients.items():
            self.member[name].grad = gradient.clone()
        self.adam.step()


class Pack:
    """Members side by side, each beside its twin that trains alone."""

    def __init__(self, members, transposed):
        self.parameters = Parameters.stack(members, CPU, transposed=transposed)
        self.adam = RowAdam(self.parameters, *map(list, zip(*OWN, strict=True)))
        self.alone = [Alone(member, *own) for member, own in zip(members, OWN, strict=True)]

    def step(self, gradients):
        """Gradients by name, [K, ...]."""
        alone = self.parameters.axis is None
        leaves = self.parameters.leaves
        self.adam.step({name: gradients[name][0] if alone else gradients[name] for name in leaves})
        for row, alone in enumerate(self.alone):
            alone.step({name: gradient[row] for name, gradient in gradients.items()})

    def keep(self, rows):
        self.parameters = self.parameters.keep_rows(torch.tensor(rows))
        self.adam.keep_rows(rows, self.parameters)
        self.alone = [self.alone[row] for row in rows]

    def assert_each_is_as_alone(self):
        for row, alone in enumerate(self.alone):
            found = self.parameters.layout.member_parameters(self.parameters.flat[row])
            for name, expected in alone.member.items():
                torch.testing.assert_close(found[name], expected.detach(), rtol=1e-6, atol=1e-7)
                leaf = self.parameters.leaves[name]
                assert torch.equal(leaf[row] if self.parameters.axis == 0 else leaf, found[name])


def gradients_of(draw, rows, scale=1.0):
    return {name: scale * draw(rows, *shape) for name, shape in SHAPES.items()}


# The parameters.


@LAYOUTS
def test_every_member_comes_back_as_it_was_put_in(members, transposed):
    parameters = Parameters.stack(members, CPU, transposed=transposed)
    assert parameters.flat.shape == (K, ROW)
    for row, member in enumerate(members):
        back = parameters.layout.member_parameters(parameters.flat[row])
        assert list(back) == list(member)
        for name, value in back.items():
            assert torch.equal(value, member[name])
            assert value.is_contiguous()
            assert not value.requires_grad


@LAYOUTS
def test_a_member_is_a_copy_that_later_steps_leave_alone(members, transposed):
    parameters = Parameters.stack(members, CPU, transposed=transposed)
    back = parameters.layout.member_parameters(parameters.flat[1])
    parameters.flat.zero_()
    assert all(torch.equal(value, members[1][name]) for name, value in back.items())


@LAYOUTS
def test_the_leaves_are_the_members_stacked_and_see_every_change(members, transposed):
    parameters = Parameters.stack(members, CPU, transposed=transposed)
    for name, leaf in parameters.leaves.items():
        assert torch.equal(leaf, torch.stack([member[name] for member in members]))
        assert leaf.is_leaf
        assert leaf.requires_grad
    parameters.flat.fill_(7.0)
    assert all((leaf == 7.0).all() for leaf in parameters.leaves.values())


@LAYOUTS
def test_a_row_is_a_member_and_a_member_a_row(members, transposed):
    layout = Parameters.stack(members, CPU, transposed=transposed).layout
    assert list(layout.shapes) == list(SHAPES)
    assert layout.spans[WHOLE] == (0, P, ROW)
    for member in members:
        row = layout.member_row(member)
        assert row.shape == (ROW,)
        assert not row[P:].any()
        assert torch.equal(
            row[:P].sort().values, torch.cat([v.flatten() for v in member.values()]).sort().values
        )
        back = layout.member_parameters(row)
        assert all(torch.equal(value, member[name]) for name, value in back.items())


@LAYOUTS
def test_the_views_of_the_rows_share_their_memory(members, transposed):
    parameters = Parameters.stack(members, CPU, transposed=transposed)
    views = parameters.layout.views(parameters.flat)
    assert list(views) == list(SHAPES)
    for name, view in views.items():
        assert view.shape == (K, *SHAPES[name])
        view[1].fill_(7.0)
    assert (parameters.flat[1, :P] == 7.0).all()
    assert not parameters.flat[1, P:].any()
    for row in (0, 2):
        assert torch.equal(parameters.flat[row], parameters.layout.member_row(members[row]))


@LAYOUTS
def test_values_flattened_are_the_rows_whose_views_they_are(members, transposed):
    parameters = Parameters.stack(members, CPU, transposed=transposed)
    rows, leaves = torch.full((K, ROW), torch.nan), parameters.leaves
    address = rows.data_ptr()
    with torch.no_grad():
        parameters.layout.flatten(leaves, rows)
        assert torch.equal(rows[:, :P], parameters.flat[:, :P])
        # Also values that lie in memory in the other way.
        rows.fill_(torch.nan)
        parameters.layout.flatten({name: leaf.contiguous() for name, leaf in leaves.items()}, rows)
    assert torch.equal(rows[:, :P], parameters.flat[:, :P])
    assert rows[:, P:].isnan().all()
    assert rows.data_ptr() == address


def test_transposed_storage_holds_matrices_column_by_column(members):
    weight = slice(0, 12)
    for transposed in (False, True):
        flat = Parameters.stack(members, CPU, transposed=transposed).flat[0, weight]
        matrix = members[0]["first.weight"]
        assert torch.equal(flat, (matrix.T if transposed else matrix).flatten())


@LAYOUTS
def test_some_members_are_kept_in_the_order_asked_for(members, transposed):
    kept = Parameters.stack(members, CPU, transposed=transposed).keep_rows(torch.tensor([2, 0]))
    assert kept.flat.shape == (2, ROW)
    for row, place in enumerate((2, 0)):
        for name, value in kept.layout.member_parameters(kept.flat[row]).items():
            assert torch.equal(value, members[place][name])
            assert torch.equal(kept.leaves[name][row], value)


# The optimiser.


@LAYOUTS
@pytest.mark.usefixtures("way")
def test_every_member_is_moved_as_by_an_adam_of_its_own(members, draw, transposed):
    pack = Pack(members, transposed)
    for scale in (1.0, 1e-3, 30.0, 0.0, 1.0, 1e-6):
        pack.step(gradients_of(draw, K, scale))
        pack.assert_each_is_as_alone()
    assert all(
        not torch.equal(
            pack.parameters.layout.member_parameters(pack.parameters.flat[row])[name], value
        )
        for row, member in enumerate(members)
        for name, value in member.items()
    )


@LAYOUTS
@pytest.mark.usefixtures("way")
def test_members_that_are_kept_go_on_as_if_nobody_had_left(members, draw, transposed):
    pack = Pack(members, transposed)
    for rows in ([2, 0], [1]):
        for _ in range(3):
            pack.step(gradients_of(draw, len(pack.alone)))
        pack.keep(rows)
        pack.assert_each_is_as_alone()
    pack.step(gradients_of(draw, 1))
    pack.assert_each_is_as_alone()


@LAYOUTS
@pytest.mark.usefixtures("way")
def test_gradients_may_lie_in_memory_in_any_way(members, draw, transposed):
    pack = Pack(members, transposed)
    for _ in range(2):
        pack.step({name: draw(K, *(1,) * len(s)).expand(K, *s) for name, s in SHAPES.items()})
        pack.assert_each_is_as_alone()
        pack.step({name: draw(*s, K).movedim(-1, 0) for name, s in SHAPES.items()})
        pack.assert_each_is_as_alone()


@LAYOUTS
@pytest.mark.usefixtures("way")
def test_a_member_that_is_nan_moves_no_other(members, draw, transposed):
    pack, healthy = Pack(members, transposed), Pack(members, transposed)
    for step in range(3):
        gradients = gradients_of(draw, K)
        healthy.step(gradients)
        if step == 1:
            gradients["first.weight"] = gradients["first.weight"].clone()
            gradients["first.weight"][1, 2, 2] = float("nan")
        pack.step(gradients)
    assert pack.parameters.flat[1].isnan().sum() == 1
    for row in (0, 2):
        assert torch.equal(pack.parameters.flat[row], healthy.parameters.flat[row])
