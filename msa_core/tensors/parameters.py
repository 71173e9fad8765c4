"""The parameters of a stack of members, side by side, and the optimiser that moves them.

Shapes: K members, P numbers of one member's row.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # PyTorch's defaults
WHOLE = "model"  # the block of a model that moves as one
REGISTERS = 64  # numbers; a multiple of what a vector instruction of any CPU takes at once


@dataclass(frozen=True)
class Layout:
    """How a member's parameters lie in one row of P numbers, block after block.

    Each block is filled up with zeros to whole vector registers: what is left over at a block's
    end is rounded otherwise, and would be other numbers in a model with one part more (law 1).

    Attributes:
        blocks: name -> its parameters: name -> shape of one member's. A block is what one step of
            the optimiser moves or leaves as a whole.
        transposed: matrices lie column by column, as their gradients come out of a batched
            matrix product; saves a copy a step.
    """

    blocks: Mapping[str, Mapping[str, torch.Size]]
    transposed: bool

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Name -> shape of one member's parameter, in the order of the row."""
        return {name: shape for block in self.blocks.values() for name, shape in block.items()}

    @functools.cached_property
    def spans(self) -> dict[str, tuple[int, int, int]]:
        """Where each block lies: its start, the end of its numbers, and that of its padding."""
        spans, start = {}, 0
        for block, shapes in self.blocks.items():
            numbers = sum(shape.numel() for shape in shapes.values())
            end = start + numbers + -numbers % REGISTERS
            spans[block] = (start, start + numbers, end)
            start = end
        return spans

    @property
    def length(self) -> int:
        """Numbers of a row, P."""
        return max((padded for *_, padded in self.spans.values()), default=0)

    def row(self, member: Mapping[str, Tensor]) -> Tensor:
        """A member's parameters as a row [P]."""
        parts = []
        for block, shapes in self.blocks.items():
            parts += [self._lying(member[name]).reshape(-1) for name in shapes]
            _, end, padded = self.spans[block]
            parts.append(torch.zeros(padded - end))
        return torch.cat(parts)

    def row_of(self, flat_P: Tensor, layout: "Layout") -> Tensor:
        """A row of another layout of the same parameters, as it lies in this one."""
        return flat_P if layout == self else self.row(layout.member(flat_P))

    def member(self, flat_P: Tensor) -> dict[str, Tensor]:
        """A row as a member's own parameters on the CPU."""
        views = self.views(flat_P[None])
        return {name: view[0].to("cpu").contiguous().clone() for name, view in views.items()}

    def views(self, flat_KP: Tensor) -> dict[str, Tensor]:
        """Name -> [K, ...], sharing memory with the rows."""
        views = {}
        for block, shapes in self.blocks.items():
            start, end, _ = self.spans[block]
            sizes = [shape.numel() for shape in shapes.values()]
            parts = torch.split(flat_KP[:, start:end], sizes, dim=1)
            for (name, shape), part in zip(shapes.items(), parts, strict=True):
                if self.transposed and len(shape) == 2:
                    views[name] = part.view(-1, shape[1], shape[0]).transpose(1, 2)
                else:
                    views[name] = part.view(-1, *shape)
        return views

    def flatten(self, values: Mapping[str, Tensor], rows_KP: Tensor) -> None:
        """Write values like the views, [K, ...] each, into rows [K, P]; whole blocks only."""
        for block, shapes in self.blocks.items():
            if shapes and next(iter(shapes)) in values:
                start, end, _ = self.spans[block]
                parts = [self._lying(values[name], 1).flatten(1) for name in shapes]
                torch.cat(parts, dim=1, out=rows_KP[:, start:end])

    def _lying(self, value: Tensor, leading: int = 0) -> Tensor:
        is_matrix = value.dim() == 2 + leading
        return value.transpose(-1, -2) if self.transposed and is_matrix else value


class Parameters:
    """K sets of parameters in one tensor [K, P].

    Attributes:
        layout: of every row.
        flat: [K, P].
        axis: of the members in the leaves: 0, or None for a single one that lies as PyTorch
            would have it.
        leaves: name -> [K, ...], or [...] without that axis; views of `flat` that gradients are
            taken of.
    """

    def __init__(self, layout: Layout, flat: Tensor) -> None:
        self.layout = layout
        self.flat = flat
        self.axis = 0 if len(flat) > 1 or layout.transposed else None
        self.leaves = {
            name: view.detach().requires_grad_() for name, view in self.views(flat).items()
        }

    def views(self, rows_KP: Tensor) -> dict[str, Tensor]:
        """The parts of rows like `flat`, as the leaves lie in it."""
        views = self.layout.views(rows_KP)
        return views if self.axis == 0 else {name: view[0] for name, view in views.items()}

    @classmethod
    def stack(
        cls,
        members: Sequence[Mapping[str, Tensor]],
        device: torch.device,
        *,
        transposed: bool,
        block_of: Callable[[str], str] = lambda name: WHOLE,
    ) -> "Parameters":
        """From the parameters of each member, and the block that each parameter belongs to."""
        blocks: dict[str, dict[str, torch.Size]] = {}
        for name, value in members[0].items():
            blocks.setdefault(block_of(name), {})[name] = value.shape
        layout = Layout(blocks, transposed)
        return cls(layout, torch.stack([layout.row(member) for member in members]).to(device))

    def keep(self, rows: Tensor) -> "Parameters":
        """Some of the members."""
        return Parameters(self.layout, self.flat.index_select(0, rows))


class RowAdam:
    """Adam with a learning rate and a weight decay for each member.

    On a CPU one fused call a member and block: its row then stays in the cache through the update.
    On other devices a few calls for all members, since there it is the calls that cost. A single
    member is moved leaf by leaf, which spares it a copy of all its gradients. A block that a step
    leaves out stays as it is, and so do its means and its count of steps.
    Source: Kingma & Ba 2015, weight decay as an L2 penalty, as `torch.optim.Adam`.
    """

    def __init__(
        self, parameters: Parameters, rates: Sequence[float], decays: Sequence[float]
    ) -> None:
        self.rates = list(rates)
        self.decays = list(decays)
        self.steps = dict.fromkeys(parameters.layout.blocks, 0)
        self.mean = torch.zeros_like(parameters.flat)
        self.square = torch.zeros_like(parameters.flat)
        self._attach(parameters)

    def keep(self, rows: Sequence[int], parameters: Parameters) -> None:
        """Go on with some of the members, whose parameters these are."""
        index = torch.tensor(rows, device=self.mean.device)
        self.mean = self.mean.index_select(0, index)
        self.square = self.square.index_select(0, index)
        self.rates = [self.rates[row] for row in rows]
        self.decays = [self.decays[row] for row in rows]
        self._attach(parameters)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Move every member by its gradients: name of a leaf -> gradient, of whole blocks."""
        moved = [
            block
            for block, shapes in self._parameters.layout.blocks.items()
            if next(iter(shapes)) in gradients
        ]
        for block in moved:
            self.steps[block] += 1
        if self._parameters.axis is None:
            for block in moved:
                own = self._parameters.layout.blocks[block]
                self._fused(block, [[gradients[name].contiguous() for name in own]])
            return
        gradient_KP = self._gradient
        self._parameters.layout.flatten(gradients, gradient_KP)
        for block in moved:
            start, _, end = self._parameters.layout.spans[block]
            part_KP = gradient_KP[:, start:end]
            if self.mean.device.type == "cpu":
                self._fused(block, [[gradient_P] for gradient_P in part_KP.unbind(0)])
            else:
                self._all_rows(block, part_KP)

    def _attach(self, parameters: Parameters) -> None:
        self._parameters = parameters
        held = (parameters.flat, self.mean, self.square)
        # Block -> for each member the tensors that are moved: its parameters, means and squares.
        self._moved: dict[str, list[list[list[Tensor]]]] = {}
        if parameters.axis is not None:
            self._gradient = torch.zeros_like(parameters.flat)
        for block, shapes in parameters.layout.blocks.items():
            if parameters.axis is None:
                views = [parameters.views(whole) for whole in held]
                self._moved[block] = [[[own[name] for name in shapes] for own in views]]
            else:
                start, _, end = parameters.layout.spans[block]
                rows = zip(*(whole[:, start:end].unbind(0) for whole in held), strict=True)
                self._moved[block] = [[[part_P] for part_P in row] for row in rows]

    def _fused(self, block: str, gradients: Sequence[list[Tensor]]) -> None:
        steps = torch.tensor(float(self.steps[block]), device=self.mean.device)
        for moved, own, rate, decay in zip(
            self._moved[block], gradients, self.rates, self.decays, strict=True
        ):
            torch._fused_adam_(
                moved[0],
                own,
                moved[1],
                moved[2],
                [],
                [steps] * len(own),
                lr=rate,
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )

    def _all_rows(self, block: str, gradient_KP: Tensor) -> None:
        start, _, end = self._parameters.layout.spans[block]
        flat, mean, square = (
            whole[:, start:end] for whole in (self._parameters.flat, self.mean, self.square)
        )
        steps = self.steps[block]
        rates = torch.tensor(self.rates, device=flat.device)[:, None]
        decays = torch.tensor(self.decays, device=flat.device)[:, None]
        gradient_KP = torch.addcmul(gradient_KP, decays, flat)
        mean.lerp_(gradient_KP, 1.0 - BETA1)
        square.mul_(BETA2).addcmul_(gradient_KP, gradient_KP, value=1.0 - BETA2)
        size = square.sqrt().div_(math.sqrt(1.0 - BETA2**steps)).add_(EPSILON)
        flat.sub_(rates / (1.0 - BETA1**steps) * mean / size)
