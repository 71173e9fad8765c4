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

    Each block is filled up with zeros to whole vector registers.

    Attributes:
        blocks: Block name -> parameter name -> shape of one member's parameter. One step of the
            optimiser moves a block as a whole or leaves it.
        transposed: Whether matrices lie column by column.
    """

    blocks: Mapping[str, Mapping[str, torch.Size]]
    transposed: bool

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Shape of one member's parameter by name, in the order of the row."""
        return {name: shape for block in self.blocks.values() for name, shape in block.items()}

    @functools.cached_property
    def spans(self) -> dict[str, tuple[int, int, int]]:
        """Start, end of the numbers and end of the padding of each block in the row."""
        # The fused optimiser rounds what fills no whole register otherwise than the rest. Without
        # padding, a model with one part more would round other entries in that way, and a module
        # that is off would no longer be bit-identical to one that is absent.
        spans, start = {}, 0
        for block, shapes in self.blocks.items():
            numbers = sum(shape.numel() for shape in shapes.values())
            end = start + numbers + -numbers % REGISTERS
            spans[block] = (start, start + numbers, end)
            start = end
        return spans

    @property
    def length(self) -> int:
        """Number of entries of a row, P."""
        return max((padded for *_, padded in self.spans.values()), default=0)

    def member_row(self, member: Mapping[str, Tensor]) -> Tensor:
        """Lay a member's parameters out as a row [P]."""
        parts = []
        for block, shapes in self.blocks.items():
            parts += [self._in_memory_order(member[name]).reshape(-1) for name in shapes]
            _, end, padded = self.spans[block]
            parts.append(torch.zeros(padded - end))
        return torch.cat(parts)

    def convert_row(self, flat_P: Tensor, layout: "Layout") -> Tensor:
        """Convert a row [P] of another layout of the same parameters to this layout."""
        return flat_P if layout == self else self.member_row(layout.member_parameters(flat_P))

    def member_parameters(self, flat_P: Tensor) -> dict[str, Tensor]:
        """Copy a row [P] into a member's own parameters on the CPU, by name."""
        views = self.views(flat_P[None])
        return {name: view[0].to("cpu").contiguous().clone() for name, view in views.items()}

    def views(self, flat_KP: Tensor) -> dict[str, Tensor]:
        """View rows [K, P] as parameters [K, ...] by name; they share memory."""
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
        """Write parameters [K, ...] by name into rows [K, P]; blocks are complete or absent."""
        for block, shapes in self.blocks.items():
            if shapes and next(iter(shapes)) in values:
                start, end, _ = self.spans[block]
                parts = [self._in_memory_order(values[name], 1).flatten(1) for name in shapes]
                torch.cat(parts, dim=1, out=rows_KP[:, start:end])

    def _in_memory_order(self, value: Tensor, leading: int = 0) -> Tensor:
        # Gradients of a batched matrix product come out transposed; lying the same way saves a copy
        # of every matrix per step.
        is_matrix = value.dim() == 2 + leading
        return value.transpose(-1, -2) if self.transposed and is_matrix else value


class Parameters:
    """K sets of parameters in one tensor [K, P].

    Attributes:
        layout: Layout of every row.
        flat: All parameters, float32 [K, P].
        axis: Axis of the members in the leaves, 0; None for a single member whose leaves have
            the shapes that PyTorch would give them.
        leaves: Parameter name -> [K, ...], or [...] without a member axis; views of `flat` with
            respect to which gradients are taken.
    """

    def __init__(self, layout: Layout, flat: Tensor) -> None:
        self.layout = layout
        self.flat = flat
        # Alone and not transposed, a member's leaves are what PyTorch would have: one node of
        # autograd less per parameter, which for large products is a tenth of the step.
        self.axis = 0 if len(flat) > 1 or layout.transposed else None
        self.leaves = {
            name: view.detach().requires_grad_() for name, view in self.views(flat).items()
        }

    def views(self, rows_KP: Tensor) -> dict[str, Tensor]:
        """View rows like `flat` as the leaves are laid out, by parameter name."""
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
        """Stack the parameters of members.

        Args:
            members: Parameters of each member, by name.
            device: Device of the stack.
            transposed: Whether matrices lie column by column.
            block_of: Block that a parameter belongs to, by parameter name.
        """
        blocks: dict[str, dict[str, torch.Size]] = {}
        for name, value in members[0].items():
            blocks.setdefault(block_of(name), {})[name] = value.shape
        layout = Layout(blocks, transposed)
        return cls(
            layout, torch.stack([layout.member_row(member) for member in members]).to(device)
        )

    def keep_rows(self, rows: Tensor) -> "Parameters":
        """Copy the parameters of some members, by their row numbers."""
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
        self._attach_parameters(parameters)

    def keep_rows(self, rows: Sequence[int], parameters: Parameters) -> None:
        """Keep the state of some members only.

        Args:
            rows: Row numbers of the members that stay.
            parameters: Their parameters, in that order.
        """
        index = torch.tensor(rows, device=self.mean.device)
        self.mean = self.mean.index_select(0, index)
        self.square = self.square.index_select(0, index)
        self.rates = [self.rates[row] for row in rows]
        self.decays = [self.decays[row] for row in rows]
        self._attach_parameters(parameters)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Update every member in place.

        Args:
            gradients: Leaf name -> gradient, for complete blocks; absent blocks stay as they are.
        """
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
                self._update_fused(block, [[gradients[name].contiguous() for name in own]])
            return
        gradient_KP = self._gradient
        self._parameters.layout.flatten(gradients, gradient_KP)
        for block in moved:
            start, _, end = self._parameters.layout.spans[block]
            part_KP = gradient_KP[:, start:end]
            # A row fits into a CPU's cache through the fused update; on a GPU the number of calls
            # is what costs.
            if self.mean.device.type == "cpu":
                self._update_fused(block, [[gradient_P] for gradient_P in part_KP.unbind(0)])
            else:
                self._update_all_rows(block, part_KP)

    # Views are made once per set of members: making them costs more than the update of a small row.
    def _attach_parameters(self, parameters: Parameters) -> None:
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

    def _update_fused(self, block: str, gradients: Sequence[list[Tensor]]) -> None:
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

    def _update_all_rows(self, block: str, gradient_KP: Tensor) -> None:
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
