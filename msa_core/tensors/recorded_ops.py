"""Tensor operations recorded once and then replayed, without the cost of dispatching them.

A step of a small stack is hundreds of calls of a few microseconds each, and most of its time goes
to autograd, `torch.func.vmap` and Python modules deciding on them: the same decisions at every
step. A recording holds the operations below all of that, gradients included, and from then on only
those are called. They give the same bits. (Nothing to do with experience replay.)

PyTorch's own `make_fx` records too, but takes half a second where this takes milliseconds, and
a stack changes its shape whenever members leave.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from msa_core.tensors.pytrees import Tree, fill_tree, map_tensors, tensors_of

# Index of one argument among all values of a recording, or the indices of a list's parts.
ValueIndices = int | tuple[int, ...]


class Recordings:
    """Recordings of a function, one per combination of shapes and strides of its inputs.

    The function may depend on its inputs, and on tensors that stay where they are: their values
    may change in place between calls (parameters). It must not look at a tensor's values in
    Python, which `torch.func.vmap` does not allow anyway.
    """

    def __init__(self) -> None:
        self._of_layouts: dict[tuple[tuple[torch.Size, tuple[int, ...]], ...], _Recording] = {}

    def call(self, function: Callable[[Tree], Tree], inputs: Tree) -> Tree:
        """Return the function's results, detached; record it where the layout is new.

        Args:
            function: Function to record, the same at every call.
            inputs: Pytree of its inputs, of the same structure at every call.
        """
        tensors = tensors_of(inputs)
        # Strides too: whether a view or a copy is made depends on them.
        layouts = tuple([(tensor.shape, tensor.stride()) for tensor in tensors])
        if layouts in self._of_layouts:
            return self._of_layouts[layouts](tensors)
        with _Recorder(tensors) as recorder:
            results = function(inputs)
        self._of_layouts[layouts] = recorder.finish_recording(results)
        return map_tensors(Tensor.detach, results)


@dataclass(slots=True)
class _Operation:
    """One call: its function, the indices of its arguments, and those of its results."""

    function: Any
    arguments: tuple[ValueIndices, ...]
    named: Mapping[str, ValueIndices]
    results: ValueIndices
    last_used: tuple[int, ...] = ()

    @property
    def used_values(self) -> set[int]:
        return {*_flat_indices(self.arguments), *_flat_indices(self.named.values())}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's
    """Records every operation on tensors, below autograd and vmap."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[_Operation] = []
        # By index: inputs and results, which are not known yet (None), and constants.
        self.values: list[Any] = []
        # Weak, so that recording does not need the memory of all results at once.
        self._place_of = WeakTensorKeyDictionary()
        for tensor in inputs:
            self._add_value(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False, or PyTorch would import its compiler, for seconds, to skip this."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it; PyTorch calls this for every one."""
        named = kwargs or {}
        answer = function(*args, **named)
        if isinstance(answer, Tensor) and _only_renames(function, args, answer):
            # Views that show the very tensor again need no call when replayed.
            self._place_of[answer] = self._index_of(args[0])
        elif function.is_view and isinstance(answer, Tensor) and self._is_constant(args[0]):
            self._index_of(answer)  # it shows what the constant holds, whatever that is by then
        else:
            self._record_operation(function, args, named, answer)
        return answer

    def finish_recording(self, results: Tree) -> "_Recording":
        """Build the recording, without operations that no result needs."""
        outputs = [self._index_of(result) for result in tensors_of(results)]
        needed = set(outputs)
        kept: list[_Operation] = []
        for operation in reversed(self.operations):
            changes_something = operation.function._schema.is_mutable
            if changes_something or not needed.isdisjoint(_flat_indices([operation.results])):
                used = operation.used_values
                operation.last_used = tuple(
                    place for place in used - needed if self.values[place] is None
                )
                needed |= used
                kept.append(operation)
        form = map_tensors(lambda _: torch.empty(0), results)
        return _Recording(self.values, kept[::-1], outputs, form)

    def _record_operation(
        self, function: Any, args: Sequence[Any], named: Mapping[str, Any], answer: Any
    ) -> None:
        self.operations.append(
            _Operation(
                function,
                tuple(self._indices_of(value) for value in args),
                {name: self._indices_of(value) for name, value in named.items()},
                self._add_value(answer)
                if isinstance(answer, Tensor)
                else tuple(self._add_value(part) for part in answer),
            )
        )

    def _indices_of(self, value: Any) -> ValueIndices:
        if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
            return tuple(self._index_of(part) for part in value)
        return self._index_of(value)

    def _index_of(self, value: Any) -> int:
        """Return the index of a value; one that was never seen is a constant."""
        if isinstance(value, Tensor):
            if value in self._place_of:
                place: int = self._place_of[value]
                return place
            return self._add_value(value, value.detach())
        return self._add_value(value, value)

    def _add_value(self, value: Any, constant: Any = None) -> int:
        self.values.append(constant)
        place = len(self.values) - 1
        if isinstance(value, Tensor):
            self._place_of[value] = place
        return place

    def _is_constant(self, tensor: Tensor) -> bool:
        return self.values[self._index_of(tensor)] is not None


class _Recording:
    """Operations of one call, ready to be replayed."""

    def __init__(
        self,
        values: list[Any],
        operations: Sequence[_Operation],
        outputs: Sequence[int],
        form: Tree,
    ) -> None:
        self._values = values
        self._outputs = outputs
        self._form = form
        # Plain tuples: the loop below runs hundreds of times per step, and attributes cost.
        self._operations = [
            (one.function, one.arguments, one.named, one.results, one.last_used)
            for one in operations
        ]

    @torch.no_grad()
    def __call__(self, inputs: Sequence[Tensor]) -> Tree:
        values = self._values.copy()
        values[: len(inputs)] = inputs

        def at(places: ValueIndices) -> Any:
            if isinstance(places, int):
                return values[places]
            return [values[place] for place in places]

        for function, arguments, named, results, last_used in self._operations:
            answer = function(
                *[values[one] if type(one) is int else at(one) for one in arguments],
                **{name: at(places) for name, places in named.items()} if named else named,
            )
            if isinstance(results, int):
                values[results] = answer
            else:
                for place, part in zip(results, answer, strict=True):
                    values[place] = part
            for place in last_used:
                values[place] = None  # its memory is free for what follows
        return fill_tree(self._form, [values[place] for place in self._outputs])


def _only_renames(function: Any, args: Sequence[Any], answer: Tensor) -> bool:
    """Check whether an operation returned the very tensor that it was given, as many views do."""
    first = args[0] if args else None
    return (
        isinstance(first, Tensor)
        and not function._schema.is_mutable
        and first.dtype == answer.dtype
        and first.shape == answer.shape
        and first.stride() == answer.stride()
        and first.numel() > 0
        and first.data_ptr() == answer.data_ptr()
    )


def _flat_indices(places: Any) -> Iterator[int]:
    for some in places:
        yield from (some,) if isinstance(some, int) else some
