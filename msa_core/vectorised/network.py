"""The network of a stack: written for one member, run for all of them.

Shapes: K members, N utterances of a split, B of a batch.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.data.dataset import FloatArray
from msa_core.model import Model, ModelOutput, build_model
from msa_core.modules.encoders import Recurrent
from msa_core.modules.parts.inputs import Numbers
from msa_core.tensors.parameters import Parameters
from msa_core.tensors.pytrees import Tree, map_tensors

PREDICTION_BATCH = 1024


class Network:
    """The network of a configuration, whose parameters are given at each call.

    Attributes:
        model: Modules without storage of their own.
        features: Modality -> number of features per frame.
        bound: Largest absolute label.
        vmapped: Whether it is called under `torch.func.vmap`.
    """

    def __init__(
        self, config: Config, features: Mapping[str, int], bound: float = 3.0, *, vmapped: bool
    ) -> None:
        """Build the modules; see `msa_core.model.build_model`."""
        self.model: Model = build_model(config, features, bound)
        self.features = features
        self.bound = bound
        self.vmapped = vmapped
        self._precision = config.train.precision
        for module in self.model.modules():
            if isinstance(module, Recurrent):
                module.stepwise = vmapped
        # Where modules keep their tensors. `torch.func.functional_call` would look all of them up
        # anew in each step, a tenth of the time of a small pack.
        self._slots = [
            (tensors, name, f"{path}.{name}")
            for path, module in self.model.named_modules()
            for tensors in (module._parameters, module._buffers)
            for name, tensor in tensors.items()
            if tensor is not None
        ]
        self._absent = torch.empty(0)  # for a module that draws nothing

    def __call__(
        self,
        tensors: Mapping[str, Tensor],
        batch: Batch,
        numbers: Numbers,
        only: Sequence[str] | None = None,
    ) -> ModelOutput:
        """Compute the outputs for a batch of one member.

        Args:
            tensors: Parameters, random numbers and kept buffers of the member, by name.
            batch: Batch of the member.
            numbers: Free numbers of the member; not read outside training.
            only: Modalities to read; None for all.
        """
        for own, name, path in self._slots:
            own[name] = tensors.get(path, self._absent)
        if self._precision != "bf16":
            output: ModelOutput = self.model(batch, numbers, only)
            return output
        with torch.autocast(batch.labels.device.type, torch.bfloat16):
            output = self.model(batch, numbers, only)
        parts = {part.name: getattr(output, part.name) for part in dataclasses.fields(output)}
        return ModelOutput(**map_tensors(Tensor.float, parts))

    def kept_buffers(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Collect the buffers that modules keep after a call, by name."""
        wanted = set(names)
        return {path: own[name] for own, name, path in self._slots if path in wanted}

    @torch.no_grad()
    def predict(self, parameters: Parameters, whole: Batch) -> FloatArray:
        """Predict a split in evaluation mode, float32 [K, N].

        Args:
            parameters: Parameters of every member.
            whole: Split to predict, the same for every member.
        """
        self.model.eval()

        def of_member(leaves: Tree, parts: Tree) -> Tensor:
            return self(leaves, Batch(**parts), {}).prediction

        order_N = torch.arange(len(whole), device=whole.labels.device)
        if whole.lengths:
            # Utterances of similar length together, so that little of what is computed is padding.
            longest_N = torch.stack(list(whole.lengths.values())).amax(dim=0)
            order_N = torch.argsort(longest_N, stable=True)
        predict = over_members(of_member, self.vmapped, (parameters.axis, None))
        with self.matmul_precision():
            parts = [
                predict(parameters.leaves, whole.take(rows_B).trim_padding().to_pytree())
                for rows_B in torch.split(order_N, PREDICTION_BATCH)
            ]
        sorted_KN = torch.cat(parts, dim=1)
        in_order_KN = torch.empty_like(sorted_KN).index_copy(1, order_N, sorted_KN)
        predictions: FloatArray = in_order_KN.cpu().numpy()
        return predictions

    @contextmanager
    def matmul_precision(self) -> Iterator[None]:
        """Let a GPU round the factors of float32 products to 10 bits, if the precision is tf32."""
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = self._precision == "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before


def over_members(
    function: Callable[..., Tree], vmapped: bool, in_dims: tuple[int | None, ...] | int = 0
) -> Callable[..., Tree]:
    """Turn a function of one member into a function of the stack.

    Args:
        function: Function that takes and returns pytrees of tensors.
        vmapped: Whether to use `torch.func.vmap`; otherwise the stack has one member, and the
            function is called as it is.
        in_dims: Axis of the members per argument; None for an argument that all members share.
    """
    if vmapped:
        return torch.func.vmap(function, in_dims=in_dims)

    def alone(*arguments: Tree) -> Tree:
        dims = [in_dims] * len(arguments) if isinstance(in_dims, int) else in_dims
        own = [
            map_tensors(lambda tensor: tensor[0], argument) if dim == 0 else argument
            for argument, dim in zip(arguments, dims, strict=True)
        ]
        return map_tensors(lambda tensor: tensor[None], function(*own))

    return alone
