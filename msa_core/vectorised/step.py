"""The step of a stack, from a batch of every member up to the gradients.

It is written for one member and mapped over all of them by `torch.func.vmap`; the operations behind
it are recorded once and then replayed.
Shapes: K members, B utterances of a batch, L values logged, W = width of a layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.model import ModelOutput, build_model
from msa_core.objective import loss_terms
from msa_core.procedures.base import Move, Procedure, StepView
from msa_core.tensors.parameters import Parameters
from msa_core.tensors.pytrees import Tree
from msa_core.tensors.recorded_ops import Recordings
from msa_core.vectorised.network import Network, over_members
from msa_core.vectorised.pack_key import free_numbers
from spaces.core import Member


@dataclass(frozen=True, slots=True)
class StepResult:
    """Results of a step.

    Attributes:
        values: Values logged at every step, [K, L].
        gradients: Leaf name -> gradient shaped like the leaf, for the blocks that move.
        hidden: Head -> hidden vectors [K, B, H], from which labels are generated.
        kept: Buffer name -> [K, ...], kept by modules for the next step.
        measured: Values logged once per epoch, [K, M]; no columns at other steps.
    """

    values: Tensor
    gradients: Mapping[str, Tensor]
    hidden: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    measured: Tensor


class StepFunction:
    """The step of a fixed set of members; made anew when members leave.

    Attributes:
        rates: Stochastic module -> the members' own rates, as numbers and as a tensor [K].
        names: Move -> names of the values that are logged at every step.
        measured_names: Move -> names of the values that are logged at an epoch's first step.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        procedure: Procedure,
        members: Sequence[Member],
        parameters: Parameters,
        *,
        keeps_hidden: bool,
    ) -> None:
        """Prepare the step.

        Args:
            config: Configuration with the structure that the members share.
            network: Network of the members.
            procedure: Training algorithm of the members.
            members: K members, each with its own free numbers.
            parameters: Parameters of all members; updated in place.
            keeps_hidden: Whether hidden vectors are returned, because labels are generated.
        """
        self._config = config
        self._network = network
        self._procedure = procedure
        self._parameters = parameters
        self._keeps_hidden = keeps_hidden
        self._modifies = bool(procedure.initial_state())
        device = parameters.flat.device
        own = [free_numbers(member.config) for member in members]
        self._numbers = {
            name: torch.tensor([numbers[name] for numbers in own], device=device) for name in own[0]
        }
        self._draws = network.model.stochastic_modules()
        self.rates = _stochastic_rates(network, members, device)
        self._recordings: dict[tuple[Move, bool], Recordings] = {}
        self.names: dict[Move, tuple[str, ...]] = {}
        self.measured_names: dict[Move, tuple[str, ...]] = {}

    def __call__(
        self,
        move: Move,
        batch: Batch,
        drawn: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        replayed: Tree = ({}, {}),
        *,
        measures: bool,
    ) -> StepResult:
        """Compute losses and gradients.

        Args:
            move: Update step of the training algorithm.
            batch: Batch of every member, [K, B, ...].
            drawn: Module -> its random numbers, [K, B, ...].
            kept: Buffer name -> [K, ...], kept by modules and by the algorithm.
            replayed: Parts of a batch and random numbers, as above, for a move with experience
                replay.
            measures: Whether values that are logged once per epoch are computed too.
        """
        inputs = batch.to_pytree(), dict(drawn), dict(kept), replayed

        def function(inputs: Tree) -> Tree:
            return self._losses_and_gradients(move, inputs, measures)

        with self._network.matmul_precision():
            if self._network.vmapped:
                recordings = self._recordings.setdefault((move, measures), Recordings())
                values = recordings.call(function, inputs)
            else:  # large products, of other shapes at each step: nothing to gain
                values = function(inputs)
        values_KL, gradients, hidden, kept_after, measured_KM = values
        return StepResult(values_KL.detach(), gradients, hidden, kept_after, measured_KM.detach())

    def _losses_and_gradients(self, move: Move, inputs: Tree, measures: bool) -> Tree:
        parts, drawn, kept, replayed = inputs
        leaves = self._parameters.leaves
        names: list[tuple[str, ...]] = []

        def of_member(
            parameters: Tree,
            drawn: Tree,
            rates: Tree,
            numbers: Tree,
            kept: Tree,
            parts: Tree,
            replayed: Tree,
        ) -> Tree:
            def seen(
                parts: Tree, drawn: Tree, only: Sequence[str] | None
            ) -> tuple[Batch, ModelOutput]:
                handed = {
                    f"{name}.drawn": self._draws[name].prepare_draws(own, rates[name])
                    for name, own in drawn.items()
                }
                batch = Batch(**parts)
                tensors = {**parameters, **handed, **kept}
                return batch, self._network(tensors, batch, numbers, only)

            batch, output = seen(parts, drawn, move.only)
            kept_after = {**kept, **self._network.kept_buffers(kept)} if move.remembers else kept
            # Named one by one, all modalities give no term of several.
            everything = self._procedure.modalities
            again = seen(replayed[0], replayed[1], everything) if replayed[0] else None
            view = StepView(batch=batch, output=output, numbers=numbers, kept=kept, replayed=again)
            of_loss = loss_terms(self._config, output, batch, numbers)
            terms = self._procedure.terms(move, of_loss, view)
            raw_L = torch.stack([term.raw for term in terms.values()])
            weighted_L = torch.stack([term.weighted for term in terms.values()])
            loss = weighted_L.sum()
            beside = _without_terms(output.logged, [name for name in of_loss if name not in terms])
            names[:] = [tuple(terms), tuple(beside)]
            logged = [value.reshape(1) for value in beside.values()]
            logged_M = torch.cat(logged) if logged else raw_L[:0]
            hidden = output.hidden if self._keeps_hidden else {}
            return (
                loss,
                (raw_L, weighted_L),
                hidden,
                kept_after,
                logged_M.detach(),
                self._procedure.save_activations(move, view),
            )

        axis = self._parameters.axis
        over = over_members(of_member, self._network.vmapped, (axis, 0, 0, 0, 0, 0, 0))
        rates = {name: tensor for name, (_, tensor) in self.rates.items() if name in drawn}
        losses_K, values, hidden, kept_after, logged_KM, witness = over(
            leaves, drawn, rates, self._numbers, kept, parts, replayed
        )
        raw_KL, weighted_KL = values
        terms, logged_names = names
        self.names[move] = _value_names(terms)
        # Not of what is logged: a recorded step then leaves that out.
        measured_KM = raw_KL.detach()[:, :0]
        if measures:
            shares_KL = self._gradient_shares(weighted_KL)
            measured_KM = torch.cat([shares_KL, logged_KM], dim=1)
            shown = terms if shares_KL.shape[1] else ()
            self.measured_names[move] = (
                *(f"train.{name}.gradient_share" for name in shown),
                *(f"train.{name}" for name in logged_names),
            )
        # No member's loss depends on another's parameters.
        gradients = self._block_gradients(losses_K.sum(), move.blocks)
        gradients, kept_after = self._modify_gradients(move, gradients, witness, kept_after)
        values_KL = torch.cat([losses_K[:, None], raw_KL, weighted_KL], dim=1)
        return values_KL, gradients, hidden, kept_after, measured_KM

    def _block_gradients(self, loss: Tensor, blocks: Sequence[str]) -> dict[str, Tensor]:
        names = [name for block in blocks for name in self._parameters.layout.blocks[block]]
        leaves = [self._parameters.leaves[name] for name in names]
        found = torch.autograd.grad(loss, leaves, materialize_grads=True)
        return dict(zip(names, found, strict=True))

    def _gradient_shares(self, weighted_KL: Tensor) -> Tensor:
        """Compute each term's share of the sum of gradient norms, [K, L]; [K, 0] of one term."""
        if weighted_KL.shape[1] < 2:
            return weighted_KL.detach()[:, :0]
        leaves = list(self._parameters.leaves.values())
        norms = []
        for term_K in weighted_KL.unbind(1):
            found = torch.autograd.grad(term_K.sum(), leaves, allow_unused=True, retain_graph=True)
            # Not filled up with zeros: a longer sum is rounded otherwise, and parameters that
            # nothing reads must not be seen in any number.
            norms.append(self._gradient_norms([one for one in found if one is not None]))
        norms_KL = torch.stack(norms, dim=1)
        total_K1 = norms_KL.sum(dim=1, keepdim=True)
        return norms_KL / torch.where(total_K1 > 0, total_K1, 1.0)

    def _gradient_norms(self, gradients: Sequence[Tensor]) -> Tensor:
        """Compute the norm of each member's gradients, [K]."""
        if self._parameters.axis is None:
            return torch.stack([one.square().sum() for one in gradients]).sum()[None].sqrt()
        flat = [one.flatten(start_dim=1) for one in gradients]
        # Row by row: how the sum of several rows is rounded depends on how many there are.
        rows_KP = torch.cat(flat, dim=1).unbind(0)
        return torch.stack([row_P.square().sum() for row_P in rows_KP]).sqrt()

    def _modify_gradients(
        self, move: Move, gradients: dict[str, Tensor], witness: Tree, kept: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        def of_member(gradients: Tree, witness: Tree, kept: Tree) -> Tree:
            return self._procedure.modify_gradients(move, gradients, witness, kept)

        if not self._modifies:
            return gradients, kept
        axis = self._parameters.axis
        stacked = gradients if axis == 0 else {n: g[None] for n, g in gradients.items()}
        changed, kept = over_members(of_member, self._network.vmapped)(
            stacked, {name: value.detach() for name, value in witness.items()}, kept
        )
        return (changed if axis == 0 else {n: g[0] for n, g in changed.items()}), kept


def _without_terms(logged: Mapping[str, Tensor], dropped: Sequence[str]) -> dict[str, Tensor]:
    """Drop logged values that belong to terms outside this move."""
    return {
        name: value
        for name, value in logged.items()
        if not any(name.startswith(f"{term}.") for term in dropped)
    }


def _value_names(terms: Sequence[str]) -> tuple[str, ...]:
    return (
        "train.loss",
        *(f"train.{name}" for name in terms),
        *(f"train.{name}.weighted" for name in terms),
    )


def _stochastic_rates(
    network: Network, members: Sequence[Member], device: torch.device
) -> dict[str, tuple[list[float], Tensor]]:
    """Collect the members' rates of each stochastic module, and set its own to the largest.

    Random numbers are drawn once for all members, so they must be drawn wherever one member has a
    rate above 0.
    """
    own = [
        build_model(member.config, network.features, network.bound).stochastic_modules()
        for member in members
    ]
    rates = {}
    for name, module in network.model.stochastic_modules().items():
        of_members = [draws[name].rate for draws in own]
        module.rate = max(of_members)
        rates[name] = (of_members, torch.tensor(of_members, device=device))
    return rates
