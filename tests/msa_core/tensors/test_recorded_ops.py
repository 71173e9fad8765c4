"""What is recorded once and repeated gives the bits of what it was recorded from."""

import pytest
import torch

from msa_core.tensors.pytrees import fill_tree, map_tensors, tensors_of
from msa_core.tensors.recorded_ops import Recordings


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(5)
    return lambda *shape: torch.randn(*shape, generator=generator)


class Counted:
    """A function that knows how often it was called as it is."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def __call__(self, inputs):
        self.calls += 1
        return self.function(inputs)


def assert_repeats(function, *inputs):
    """Called once for all of these inputs, and right for each."""
    counted, recordings = Counted(function), Recordings()
    for tree in inputs:
        expected = map_tensors(torch.Tensor.detach, function(tree))
        found = recordings.call(counted, tree)
        assert all(
            torch.equal(*pair) and not pair[1].requires_grad
            for pair in zip(tensors_of(expected), tensors_of(found), strict=True)
        )
        assert fill_tree(found, tensors_of(expected)).__class__ is expected.__class__
    assert counted.calls == 1


def test_gradients_under_vmap_are_repeated(draw):
    leaf_KDW = draw(3, 4, 2).requires_grad_()

    def loss_and_gradient(rows_KBD):
        def of_member(weight_DW, rows_BD):
            return torch.tanh(rows_BD @ weight_DW).square().mean()

        losses_K = torch.func.vmap(of_member)(leaf_KDW, rows_KBD)
        return losses_K, *torch.autograd.grad(losses_K.sum(), [leaf_KDW])

    assert_repeats(loss_and_gradient, *(draw(3, 5, 4) for _ in range(3)))


def test_what_stays_where_it_is_may_change_its_values(draw):
    parameter, recordings = draw(4), Recordings()
    halves = parameter.view(2, 2)  # made before, and again inside

    def function(rows):
        return rows * parameter.view(2, 2) + halves.sum() * torch.ones(2, 2)

    for _ in range(3):
        rows = draw(2, 2)
        expected = function(rows)
        assert torch.equal(recordings.call(function, rows), expected)
        parameter.mul_(1.5)


def test_each_combination_of_shapes_has_its_own_recording(draw):
    recordings = Recordings()
    counted = Counted(lambda inputs: (inputs["a"] @ inputs["b"]).sum(dim=0))
    for rows in (3, 5, 3, 5, 1):
        tree = {"a": draw(rows, 4), "b": draw(4, 2)}
        assert torch.equal(recordings.call(counted, tree), (tree["a"] @ tree["b"]).sum(dim=0))
    assert counted.calls == 3


def test_inputs_of_one_shape_may_lie_in_memory_in_any_way(draw):
    recordings = Recordings()
    for values in (draw(3, 4), draw(4, 3).T, draw(3, 9)[:, ::2][:, :4], draw(3, 4)):
        for _ in range(2):
            found = recordings.call(lambda inputs: inputs.reshape(12).contiguous() * 2, values)
            assert torch.equal(found, values.flatten() * 2)


def test_operations_with_lists_and_several_results_are_repeated(draw):
    def function(values):
        first, second = values.split(2)
        largest, places = torch.stack([first, second], dim=1).max(dim=1)
        return torch.cat([largest, first - second]), {"places": places, "norm": values.norm()}

    assert_repeats(function, *(draw(4, 3) for _ in range(3)))


def test_operations_in_place_are_repeated_even_where_nobody_uses_their_result(draw):
    def function(values):
        sum_ = torch.zeros(3)
        sum_.add_(values)
        sum_[0].mul_(2.0)  # a view of it
        return sum_, values.clone().clamp_(min=0.0)

    assert_repeats(function, *(draw(3) for _ in range(3)))


def test_a_tensor_may_be_a_named_argument(draw):
    def function(values):
        return torch.where(values > 0, values, torch.full_like(values, 7.0)).sum(
            dim=0, dtype=torch.float64
        ), torch.clamp(values, min=-values, max=values + 1)

    assert_repeats(function, *(draw(5, 2) for _ in range(3)))


def test_what_is_given_back_as_it_came_is_that_call_s_own(draw):
    recordings = Recordings()
    constant = draw(2)
    for _ in range(2):
        own = draw(3)
        found, view, same = recordings.call(lambda v: (v, v[None], constant), own)
        assert torch.equal(found, own)
        assert torch.equal(view, own[None])
        assert torch.equal(same, constant)


def test_what_no_result_needs_is_not_repeated(draw):
    recordings, seen = Recordings(), []

    def function(values):
        values.exp().sin()  # for nothing
        return values + 1

    for _ in range(2):
        recordings.call(function, draw(2))

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, called, types, args=(), kwargs=None):
            seen.append(called)
            return called(*args, **(kwargs or {}))

    with Watch():
        recordings.call(function, draw(2))
    assert [called for called in seen if "randn" not in str(called)] == [torch.ops.aten.add.Tensor]


def test_an_error_while_recording_is_the_function_s_own_and_leaves_nothing_behind(draw):
    recordings = Recordings()

    def fail(values):
        raise RuntimeError("no room")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no room"):
            recordings.call(fail, draw(2))
