"""What every loss function promises the pack, bound to each of them.

Shapes: K members, B utterances, D = width.
A member's hyperparameters may be its own. Bits are compared where the second law asks for it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

# Imported for what it sets: MKL gives a member the same bits wherever it lies in memory.
import msa_core.vectorised.stack  # noqa: F401
from msa_core.config.alignment import CcaOptions
from msa_core.modules.alignment import measures as alignment
from msa_core.modules.contrast import densities as generative
from msa_core.modules.contrast import estimators as information
from msa_core.modules.parts import similarity
from msa_core.procedures import gradient_modification
from msa_core.tensors.recorded_ops import Recordings

MODULES = (alignment, generative, gradient_modification, information, similarity)
B, D = 6, 4
LABELS = torch.tensor([1.5, -2.0, 0.0, 0.4, -0.3, 2.2])
BINS = torch.tensor([1, 0, 2, 1, 0, 3])
Gaussian = generative.Gaussian


@dataclass(frozen=True)
class Case:
    """A function of tensors and numbers, the tensors' shapes and three members' numbers."""

    call: Callable
    shapes: tuple[tuple[int, ...], ...] = ((B, D), (B, D))
    numbers: tuple[tuple[float, ...], ...] = ()

    def of(self, member: int) -> tuple[float, ...]:
        return tuple(values[member % 3] for values in self.numbers)


def experts(a, b, c, d):
    return [Gaussian(a, b), Gaussian(c, d)]


def measured(measure, number=None, options=None):
    return lambda a, b, *n: measure(a, b, {number: n[0]} if n else {}, options)


TEMPERATURES = ((0.1, 0.5, 1.0),)
FOUR = ((B, D),) * 4
DRAWS = (4, B, D)
BOUND = ((5, B), (5, B))
CASES = {
    "covariance_alignment": Case(measured(alignment.covariance_alignment)),
    "covariance_matrix": Case(lambda a: alignment.covariance_matrix(a), ((B, D),)),
    "covariance_distance": Case(alignment.covariance_distance, ((D, D), (D, D))),
    "covariance_floor": Case(alignment.covariance_floor),
    "running_average": Case(alignment.running_average, numbers=((0.9, 0.5, 0.0), (0.0, 1.0, 7.0))),
    "mean_norm": Case(alignment.mean_norm, ((B, D),)),
    "unit_variance": Case(alignment.unit_variance, ((B, D),)),
    "paired_covariance": Case(
        measured(alignment.paired_covariance, "off_diagonal"), numbers=((0.05, 0.005, 0.0),)
    ),
    "central_moment_discrepancy": Case(measured(alignment.central_moment_discrepancy)),
    "mean_discrepancy": Case(
        measured(alignment.mean_discrepancy, "bandwidth"), numbers=((1.0, 0.5, 2.0),)
    ),
    "relational_distance": Case(measured(alignment.relational_distance)),
    "directed_relational_distance": Case(alignment.directed_relational_distance),
    "contrastive_alignment": Case(
        measured(alignment.contrastive_alignment, "temperature"), numbers=TEMPERATURES
    ),
    "canonical_distance": Case(
        measured(alignment.canonical_distance, "ridge", CcaOptions()), numbers=((0.1, 0.01, 1.0),)
    ),
    "canonical_distance of 2": Case(
        measured(alignment.canonical_distance, "ridge", CcaOptions(components=2)),
        numbers=((0.1, 0.01, 1.0),),
    ),
    "private_term": Case(alignment.private_term, ((),), numbers=((0.1, 1.0, 3.0),)),
    "info_nce": Case(similarity.info_nce, numbers=TEMPERATURES),
    "supervised_contrast": Case(
        lambda a, t: similarity.supervised_contrast(a, BINS, t), ((B, D),), TEMPERATURES
    ),
    "icl": Case(similarity.icl, numbers=TEMPERATURES),
    "ial": Case(similarity.ial, ((B, D), (B, D), (B, 7), (B, 7)), TEMPERATURES),
    "cosine_matrix": Case(similarity.cosine_matrix, ((B, D), (3, D))),
    "unit_rows": Case(similarity.unit_rows, ((B, D),)),
    "squared_distances": Case(similarity.squared_distances, ((B, D),)),
    "difference_loss": Case(information.difference_loss),
    "gaussian_log_likelihood": Case(
        lambda *a: information.gaussian_log_likelihood(*a, normalised=True), ((B, D),) * 3
    ),
    "class_entropy": Case(
        lambda a, m, r: information.class_entropy(a, LABELS, m, LABELS.flip(0), r),
        numbers=((0.1, 0.01, 1.0),),
    ),
    "cpc": Case(information.cpc),
    "softmax_entropy": Case(information.softmax_entropy, ((B, D),)),
    "entropy_weights": Case(information.entropy_weights, ((3, B),)),
    "log_prior": Case(generative.log_prior, (DRAWS,)),
    "product_of_experts": Case(lambda *a: generative.product_of_experts(experts(*a)).mean, FOUR),
    "product_draws": Case(
        lambda *a: generative.product_draws(experts(*a[:4]), a[4])[1],
        (*FOUR, DRAWS),
    ),
    "mixture_draws": Case(
        lambda *a: generative.mixture_draws(experts(*a[:4]), a[4])[1],
        (*FOUR, DRAWS),
    ),
    "elbo": Case(generative.elbo, BOUND),
    "iwae": Case(generative.iwae, BOUND),
    "cubo": Case(generative.cubo, BOUND),
    "rls_update": Case(gradient_modification.rls_update, ((D, D), (D,)), ((0.1, 0.01, 1e-4),)),
    "rls_alpha": Case(
        lambda a, step: a * gradient_modification.rls_alpha(step, 4), ((),), ((0.0, 1.0, 9.0),)
    ),
    "projected_gradient": Case(gradient_modification.projected_gradient, ((2, D), (D, D))),
}


@pytest.fixture(params=sorted(CASES))
def case(request):
    return CASES[request.param]


def drawn(case, members, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(members, *shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in case.shapes
    ]


def packed(case, stacked, numbers):
    """Values and gradients of all members at once, as a pack takes them."""
    leaves = [tensor.detach().requires_grad_() for tensor in stacked]
    values = torch.func.vmap(case.call)(*leaves, *numbers)
    # Weights of their own, so that gradients of entries cannot cancel.
    weights = torch.linspace(0.5, 1.5, values[0].numel(), dtype=values.dtype)
    total = (values.flatten(start_dim=1) * weights).sum() if values.ndim > 1 else values.sum()
    return values.detach(), gradients_of(total, leaves)


def alone(case, tensors, numbers):
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    value = case.call(*leaves, *numbers)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype)
    total = (value.flatten() * weights).sum() if value.ndim else value
    return value.detach(), gradients_of(total, leaves)


def gradients_of(total, leaves):
    """Zeros where a stop-gradient is."""
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if one is None else one
        for leaf, one in zip(leaves, found, strict=True)
    ]


def own_numbers(case, members, dtype):
    return [
        torch.tensor([values[member % 3] for member in range(members)], dtype=dtype)
        for values in case.numbers
    ]


def test_every_public_function_is_held_to_the_contract():
    public = {
        name
        for module in MODULES
        for name, found in inspect.getmembers(module, inspect.isfunction)
        if found.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - {"require_pair"} == {name.split(" ")[0] for name in CASES}


def test_members_at_once_get_what_each_gets_alone_with_numbers_of_its_own(case):
    stacked = drawn(case, 3, torch.float64)
    values, gradients = packed(case, stacked, own_numbers(case, 3, torch.float64))
    for member in range(3):
        value, own = alone(case, [tensor[member] for tensor in stacked], case.of(member))
        torch.testing.assert_close(values[member], value)
        torch.testing.assert_close([one[member] for one in gradients], own)


def test_a_member_gets_the_same_bits_in_a_pack_of_2_and_in_one_of_8(case):
    stacked = drawn(case, 8, torch.float32)
    large = packed(case, stacked, own_numbers(case, 8, torch.float32))
    small = packed(case, [one[:2] for one in stacked], own_numbers(case, 2, torch.float32))
    assert torch.equal(large[0][:2], small[0])
    for of_eight, of_two in zip(large[1], small[1], strict=True):
        assert torch.equal(of_eight[:2], of_two)


def test_what_was_recorded_gives_the_same_bits_for_other_inputs(case):
    numbers = own_numbers(case, 3, torch.float32)
    recordings = Recordings()

    def step(stacked):
        values, gradients = packed(case, stacked, numbers)
        return {"values": values, "gradients": tuple(gradients)}

    recordings.call(step, tuple(drawn(case, 3, torch.float32)))
    repeated = recordings.call(step, tuple(drawn(case, 3, torch.float32, seed=1)))
    expected = step(drawn(case, 3, torch.float32, seed=1))
    assert torch.equal(repeated["values"], expected["values"])
    for found, wanted in zip(repeated["gradients"], expected["gradients"], strict=True):
        assert torch.equal(found, wanted)


def equal_sides(tensors):
    return [tensors[0] if one.shape == tensors[0].shape else one for one in tensors]


def with_first_two(change):
    """The same change to every input that has rows."""

    def changed(tensors):
        copies = [tensor.clone() for tensor in tensors]
        for copy in copies:
            if copy.ndim >= 2:
                change(copy)
        return copies

    return changed


def identical_rows(copy):
    copy[1] = copy[0]


def zero_row(copy):
    copy[0] = 0.0


def constant_column(copy):
    copy[..., 0] = 0.1


def all_equal(copy):
    copy[...] = 0.1


def all_zero(copy):
    copy[...] = 0.0


EDGES = {
    "equal sides": equal_sides,
    **{
        change.__name__: with_first_two(change)
        for change in (identical_rows, zero_row, constant_column, all_equal, all_zero)
    },
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("edge", sorted(EDGES))
def test_values_and_gradients_are_finite_at_the_edges(case, edge, dtype):
    tensors = EDGES[edge]([one[0] for one in drawn(case, 1, dtype)])
    value, gradients = alone(case, tensors, case.of(0))
    assert value.isfinite().all()
    for one in gradients:
        assert one.isfinite().all()
        assert one.abs().max() < 1e4


def test_inputs_are_left_as_they_are(case):
    tensors = [one[0] for one in drawn(case, 1, torch.float64)]
    before = [tensor.clone() for tensor in tensors]
    alone(case, tensors, case.of(0))
    torch.testing.assert_close(tensors, before, rtol=0, atol=0)


def test_a_member_that_is_not_finite_leaves_its_pack_the_numbers_they_have(case):
    stacked = drawn(case, 4, torch.float32)
    numbers = own_numbers(case, 4, torch.float32)
    values, gradients = packed(case, stacked, numbers)
    spoilt = [one.clone() for one in stacked]
    for one in spoilt:
        one[3] = torch.nan
    found, found_gradients = packed(case, spoilt, numbers)
    assert found[3].isnan().any()
    assert torch.equal(found[:3], values[:3])
    for one, wanted in zip(found_gradients, gradients, strict=True):
        assert torch.equal(one[:3], wanted[:3])
