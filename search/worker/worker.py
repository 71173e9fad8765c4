"""The equipment of a worker process: core, data, device, share of memory, limits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spaces.core import Core, Data, SourceFile
from spaces.fields.paths import replace
from spaces.find_core import find_core
from spaces.plan.plan import Plan
from spaces.search_space.domains import possible_values


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """The equipment of a worker process.

    Attributes:
        core_name: Name of the core, which each process finds by itself.
        prepared: Splits train and valid, as the core prepares them.
        test: Test split, read by the core's `evaluate` alone.
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

    core_name: str
    prepared: Any
    test: Any
    device: str = "cpu"
    gpu_share: float = 0.0
    memory: int = 0
    data: str = ""
    code: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[SourceFile, ...] = ()
    epoch_seconds: float | None = None
    checkpoint_seconds: float = 60.0

    @classmethod
    def for_data(cls, core: Core, data: Data, plan: Plan | None = None, **has: Any) -> "Worker":
        """Create the equipment for the data, prepared once for all trainings of a plan."""
        configs = list(_planned_configs(plan)) if plan is not None else []
        prepared, test = core.prepare(data, configs)
        return cls(
            core_name=core.name,
            prepared=prepared,
            test=test,
            data=data.fingerprint,
            plugins=core.plugins,
            **has,
        )

    def find_core(self) -> Core:
        """Find the core in this process.

        Raises:
            ConfigError: It, or something that a plugin imports, is not installed here.
        """
        return find_core(self.core_name).with_plugins(self.plugins)

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
        import torch  # a core without it trains on a CPU

        total = torch.cuda.get_device_properties(0).total_memory
        return int(total * min(1.0, self.gpu_share))


def _planned_configs(plan: Plan) -> Iterator[Any]:
    """Yield the configurations that differ in more than a number from one another."""
    for arm in plan.arms:
        yield arm.config
        for path, options in possible_values(arm.space).items():
            for option in options:
                yield replace(arm.config, {path: option})
