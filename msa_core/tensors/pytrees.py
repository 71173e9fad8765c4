"""Trees of tensors: a tensor, or a tuple or dict of trees."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Tree = Any


def map_tensors(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """The tree with a function applied to each of its tensors."""
    if isinstance(tree, dict):
        return {name: map_tensors(function, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_tensors(function, part) for part in tree)
    return function(tree)


def tensors_of(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in its order."""
    tensors: list[Tensor] = []
    _collect(tree, tensors)
    return tensors


def forms_of(tree: Tree) -> list[Any]:
    """The names, shapes and types in a tree, in its order; trees of equal forms can be stacked."""
    if isinstance(tree, dict):
        return [(name, forms_of(part)) for name, part in tree.items()]
    if isinstance(tree, tuple):
        return [forms_of(part) for part in tree]
    return [tuple(tree.shape), tree.dtype]


def filled(tree: Tree, tensors: Iterable[Tensor]) -> Tree:
    """A tree of the same form with other tensors, in the order of `tensors_of`."""
    rest = iter(tensors)
    return map_tensors(lambda _: next(rest), tree)


def stacked(trees: Sequence[Tree]) -> Tree:
    """Trees of one form as one tree, with an axis of them in front."""
    parts = zip(*(tensors_of(tree) for tree in trees), strict=True)
    return filled(trees[0], [torch.stack(own) for own in parts])


def _collect(tree: Tree, tensors: list[Tensor]) -> None:
    if isinstance(tree, dict):
        for part in tree.values():
            _collect(part, tensors)
    elif isinstance(tree, tuple):
        for part in tree:
            _collect(part, tensors)
    else:
        tensors.append(tree)
