"""Pytrees of tensors: a tensor, or a tuple or dict of pytrees."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

# Not `torch.utils._pytree`: that is private, and five times as slow (0.16 ms more per step).
Tree = Any


def map_tensors(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """Apply a function to each tensor of a pytree."""
    if isinstance(tree, dict):
        return {name: map_tensors(function, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_tensors(function, part) for part in tree)
    return function(tree)


def tensors_of(tree: Tree) -> list[Tensor]:
    """List the tensors of a pytree, in its order."""
    tensors: list[Tensor] = []
    _collect_tensors(tree, tensors)
    return tensors


def structure_of(tree: Tree) -> list[Any]:
    """List names, shapes and types of a pytree; pytrees of equal structure can be stacked."""
    if isinstance(tree, dict):
        return [(name, structure_of(part)) for name, part in tree.items()]
    if isinstance(tree, tuple):
        return [structure_of(part) for part in tree]
    return [tuple(tree.shape), tree.dtype]


def fill_tree(tree: Tree, tensors: Iterable[Tensor]) -> Tree:
    """Build a pytree of the same structure from tensors in the order of `tensors_of`."""
    rest = iter(tensors)
    return map_tensors(lambda _: next(rest), tree)


def stack_trees(trees: Sequence[Tree]) -> Tree:
    """Stack pytrees of equal structure into one, along a new first axis."""
    parts = zip(*(tensors_of(tree) for tree in trees), strict=True)
    return fill_tree(trees[0], [torch.stack(own) for own in parts])


def _collect_tensors(tree: Tree, tensors: list[Tensor]) -> None:
    if isinstance(tree, dict):
        for part in tree.values():
            _collect_tensors(part, tensors)
    elif isinstance(tree, tuple):
        for part in tree:
            _collect_tensors(part, tensors)
    else:
        tensors.append(tree)
