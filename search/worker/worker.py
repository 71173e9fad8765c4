"""The equipment of a worker process: data, device, share of memory, limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from msa_core.config.paths import replace
from msa_core.data.dataset import Dataset, Split
from msa_core.data.prepared import PreparedSplits
from msa_core.plugins import Plugin
from spaces.plan.plan import Plan
from spaces.search_space.domains import Choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """The equipment of a worker process.

    Attributes:
        prepared: Splits train and valid.
        test: Test split, read by `evaluate` alone.
        device: Device, `cpu` or `cuda`.
        gpu_share: Share of the memory of its GPU, 0 to 1.
        memory: Main memory that it may use, in bytes; 0 = unknown.
        data: Fingerprint of the data.
        code: Digest of the training core, for arms that `codes` lacks.
        codes: Key of an arm -> digest of the code that its trainings can reach.
        plugins: The study's own modules, as text: their files may not be on its machine.
        epoch_seconds: Seconds after which an epoch counts as hung; None = never.
        checkpoint_seconds: Seconds of training between two checkpoints.
    """

    prepared: PreparedSplits
    test: Split
    device: str = "cpu"
    gpu_share: float = 0.0
    memory: int = 0
    data: str = ""
    code: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    epoch_seconds: float | None = None
    checkpoint_seconds: float = 60.0

    @classmethod
    def for_dataset(cls, dataset: Dataset, **has: Any) -> "Worker":
        """Create the equipment for a data set."""
        prepared = PreparedSplits(dataset.splits)
        return cls(prepared=prepared, test=dataset.test, data=dataset.fingerprint, **has)

    def warm_features(self, plan: Plan) -> None:
        """Prepare the features once, for every worker process."""
        for arm in plan.arms:
            self.prepared.prepare_arrays(arm.config)
            for path, domain in arm.space.items():
                if isinstance(domain, Choice):
                    for option in domain.options:
                        self.prepared.prepare_arrays(replace(arm.config, {path: option}))

    def code_of(self, arm_key: str) -> str:
        """Return the digest of the code that an arm's trainings can reach."""
        return self.codes.get(arm_key, self.code)

    def identity_of(self, arm_key: str) -> str:
        """Return the identity of an arm's checkpoints beside the cell: data, code and plugins."""
        plugins = (plugin.digest for plugin in self.plugins)
        return " ".join([self.data, self.code_of(arm_key), *plugins])

    @property
    def memory_share(self) -> int:
        """Memory of its device that it may use, in bytes; 0 = unknown."""
        if self.device != "cuda":
            return self.memory
        total = torch.cuda.get_device_properties(0).total_memory
        return int(total * min(1.0, self.gpu_share))
