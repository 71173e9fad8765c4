"""Optional abilities of a core, each a protocol of its own.

A core that lacks one loses that ability and nothing else; the platform asks with `isinstance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from spaces.core import Member, SourceFile


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldGroups:
    """Groups of fields that switch alike, such as modality pairs; the design `pairs` varies them.

    Attributes:
        sections: Name of a group -> path of its section.
        switch: Field of a section that switches the group.
        off: Value of that field with which the group is off.
        detail: Field that means something while the group is on.
    """

    sections: Mapping[str, str]
    switch: str
    off: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PackSize:
    """How large packs of one key should be on one kind of device, and why.

    Attributes:
        pack_key: Pack key of the members.
        data: Fingerprint of the data; empty if unknown.
        device: `cpu`, or the name of the accelerator.
        size: Number of members in one step.
        seconds: Number of members -> wall time of one step per member, in seconds.
        memory: Number of members -> peak memory of all of them, in bytes; empty where it cannot be
            measured.
        share: Memory that one worker may use, in bytes; 0 if unknown.
    """

    pack_key: str
    data: str = ""
    device: str
    size: int
    seconds: Mapping[str, float]
    memory: Mapping[str, int]
    share: int


@runtime_checkable
class VectorisedPacks(Protocol):
    """The ability to train many members in one step."""

    def sequential_reason(self, config: Any, device: str) -> str:
        """Return why members train one after another on a device; empty if in packs."""

    def sequential_kinds(self) -> Mapping[str, str]:
        """Return kind -> why its members train one after another on a CPU."""

    def measure_pack_size(
        self, member: Member, prepared: Any, *, device: str, most: int, share: int
    ) -> PackSize:
        """Measure how many members should train in one step."""


@runtime_checkable
class Documented(Protocol):
    """The ability to name papers and places of fields, for `triptych explain`."""

    def sources_of(self, path: str) -> Mapping[str, str]:
        """Map each value of a field to the source of what it chooses; empty value: of the field."""

    def declared_in(self, path: str) -> str:
        """Return file and class of a field's declaration."""

    def added_by(self, plugin: SourceFile) -> str:
        """Return what a plugin has added, for a person."""

    def switch_text(self, path: str) -> str:
        """Return the line of a study with which a field means something; empty if unknown."""


@runtime_checkable
class Grouped(Protocol):
    """The ability to vary groups of fields with the design `pairs`."""

    @property
    def groups(self) -> FieldGroups:
        """The groups."""


@runtime_checkable
class Sliced(Protocol):
    """The ability to tell kinds of test examples apart."""

    def test_tags(self, data: Any) -> Mapping[str, Sequence[str]]:
        """Return dimension -> tag of every test example."""


@runtime_checkable
class TimedEpochs(Protocol):
    """The ability to time an epoch without a training, for estimates."""

    def thin(self, data: Any) -> tuple[Any, float]:
        """Return a part of the data, prepared, and its share of train."""

    def epoch_seconds(self, config: Any, part: Any) -> tuple[float, float]:
        """Time an epoch on the part; return its fixed seconds, and those per member."""


@runtime_checkable
class Informed(Protocol):
    """The ability to estimate what parts of the input share about the label."""

    @property
    def information_method(self) -> str:
        """How it is estimated; an estimate of another method is made again."""

    @property
    def information_cites(self) -> Sequence[str]:
        """Keys of the papers that the estimate, and what reports show of it, builds on."""

    def estimate_information(self, data: Any) -> Sequence[Mapping[str, Any]]:
        """Estimate it from train alone, in the plain form of `reports.encoding`.

        Raises:
            Exception: The data give no estimate.
        """
