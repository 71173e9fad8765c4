"""Tensor operations recorded once and then repeated, without what it cost to find them.

A step of a small stack is hundreds of calls of a few microseconds each, and most of its time goes
to autograd, `torch.func.vmap` and Python modules deciding on them: the same decisions at every
step. A recording takes down the operations below all of that, gradients included, and from then
on only those are called. They give the same bits.

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

from msa_core.tensors.pytrees import Tree, filled, map_tensors, tensors_of

# Where one argument is among all values of a recording, or where the parts of a list are.
Places = int | tuple[int, ...]


class Recordings:
    """What a function does, for each combination of shapes and strides of its inputs.

    The function may depend on its inputs, and on tensors that stay where they are: their values
    may change in place between calls (parameters). It must not look at a tensor's values in
    Python, which `torch.func.vmap` does not allow anyway.
    """

    def __init__(self) -> None:
        self._of_layouts: dict[tuple[tuple[torch.Size, tuple[int, ...]], ...], _Recording] = {}

    def call(self, function: Callable[[Tree], Tree], inputs: Tree) -> Tree:
        """The function's results, detached.

        Args:
            function: the same at every call.
            inputs: of the same form at every call.
        """
        tensors = tensors_of(inputs)
        # Strides too: whether a view or a copy is made depends on them.
        layouts = tuple([(tensor.shape, tensor.stride()) for tensor in tensors])
        if layouts in self._of_layouts:
            return self._of_layouts[layouts](tensors)
        with _Recorder(tensors) as recorder:
            results = function(inputs)
        self._of_layouts[layouts] = recorder.recording(results)
        return map_tensors(Tensor.detach, results)


@dataclass(slots=True)
class _Operation:
    """One call: of which function, with which values, and where its results go."""

    function: Any
    arguments: tuple[Places, ...]
    named: Mapping[str, Places]
    results: Places
    last_used: tuple[int, ...] = ()

    @property
    def used(self) -> set[int]:
        return {*_each(self.arguments), *_each(self.named.values())}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's
    """Sees every operation on tensors, below autograd and vmap, and takes it down."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[_Operation] = []
        # By place: inputs and results, which are not known yet (None), and constants.
        self.values: list[Any] = []
        # Weak, so that recording does not need the memory of all results at once.
        self._place_of = WeakTensorKeyDictionary()
        for tensor in inputs:
            self._add(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else PyTorch would import its compiler, for seconds, to be told not to compile this."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Called by PyTorch for every operation."""
        named = kwargs or {}
        answer = function(*args, **named)
        if isinstance(answer, Tensor) and _only_renames(function, args, answer):
            self._place_of[answer] = self._place(args[0])
        elif function.is_view and isinstance(answer, Tensor) and self._is_constant(args[0]):
            self._place(answer)  # it shows what the constant holds, whatever that is by then
        else:
            self._take_down(function, args, named, answer)
        return answer

    def recording(self, results: Tree) -> "_Recording":
        """What was taken down, without what no result needs."""
        outputs = [self._place(result) for result in tensors_of(results)]
        needed = set(outputs)
        kept: list[_Operation] = []
        for operation in reversed(self.operations):
            changes_something = operation.function._schema.is_mutable
            if changes_something or not needed.isdisjoint(_each([operation.results])):
                used = operation.used
                operation.last_used = tuple(
                    place for place in used - needed if self.values[place] is None
                )
                needed |= used
                kept.append(operation)
        form = map_tensors(lambda _: torch.empty(0), results)
        return _Recording(self.values, kept[::-1], outputs, form)

    def _take_down(
        self, function: Any, args: Sequence[Any], named: Mapping[str, Any], answer: Any
    ) -> None:
        self.operations.append(
            _Operation(
                function,
                tuple(self._places(value) for value in args),
                {name: self._places(value) for name, value in named.items()},
                self._add(answer)
                if isinstance(answer, Tensor)
                else tuple(self._add(part) for part in answer),
            )
        )

    def _places(self, value: Any) -> Places:
        if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
            return tuple(self._place(part) for part in value)
        return self._place(value)

    def _place(self, value: Any) -> int:
        """Where a value is; what is not known yet is a constant."""
        if isinstance(value, Tensor):
            if value in self._place_of:
                place: int = self._place_of[value]
                return place
            return self._add(value, value.detach())
        return self._add(value, value)

    def _add(self, value: Any, constant: Any = None) -> int:
        self.values.append(constant)
        place = len(self.values) - 1
        if isinstance(value, Tensor):
            self._place_of[value] = place
        return place

    def _is_constant(self, tensor: Tensor) -> bool:
        return self.values[self._place(tensor)] is not None


class _Recording:
    """The operations of one call."""

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
        self._operations = [
            (one.function, one.arguments, one.named, one.results, one.last_used)
            for one in operations
        ]

    @torch.no_grad()
    def __call__(self, inputs: Sequence[Tensor]) -> Tree:
        values = self._values.copy()
        values[: len(inputs)] = inputs

        def at(places: Places) -> Any:
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
        return filled(self._form, [values[place] for place in self._outputs])


def _only_renames(function: Any, args: Sequence[Any], answer: Tensor) -> bool:
    """Whether an operation gave back the very tensor that it was given, as many views do."""
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


def _each(places: Any) -> Iterator[int]:
    for some in places:
        yield from (some,) if isinstance(some, int) else some
