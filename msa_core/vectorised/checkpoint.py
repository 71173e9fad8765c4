"""Checkpoints: a member between two epochs, as bytes.

They hold everything that the rest of its training depends on. Random streams are keyed by seed,
name and epoch, so no state of a generator is needed. The bytes are a header line with a checksum of
what follows: tensors, numbers and names as PyTorch writes them, read by its restricted reader.
Reading damaged or foreign bytes executes nothing.
Shapes: P numbers of a member's row of parameters.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msa_core.config.rules import resolve_fields
from msa_core.data.dataset import Splits
from msa_core.tensors.parameters import Layout
from msa_core.tensors.pytrees import Tree
from spaces.core import Member

MAGIC = "triptych-checkpoint"
FORMAT = 2
LONGEST_LINE = 300  # of the first line, in bytes


class CheckpointError(ValueError):
    """Bytes that are no checkpoint of this member; the message gives the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberState:
    """One member's part of a stack, on the CPU.

    Attributes:
        layout: Layout of the rows.
        parameters: Parameters, float32 [P].
        mean, square: Running moments of Adam, float32 [P].
        steps: Block of parameters -> number of Adam's steps.
        kept: Buffer name -> buffer that modules and the training algorithm keep.
        labels: State of generated labels, see `MemberLabels.state`.
    """

    layout: Layout
    parameters: Tensor
    mean: Tensor
    square: Tensor
    steps: Mapping[str, int]
    kept: Tree
    labels: Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A member between two epochs.

    Attributes:
        epochs: Number of epochs trained.
        seconds: Wall time of its training so far, in seconds.
        curve: Name -> one value per epoch.
        valid: Validation metrics of the last epoch.
        best_epoch: Number of the best epoch so far, from 1; 0 if there is none.
        best_valid: Validation metrics of the best epoch.
        best: Parameters of the best epoch, float32 [P]; None if there is none, or if they are
            those of the state.
        state: Tensors of the member.
    """

    epochs: int
    seconds: float
    curve: Mapping[str, Sequence[float]]
    valid: Mapping[str, float]
    best_epoch: int
    best_valid: Mapping[str, float]
    best: Tensor | None
    state: MemberState


def identity_of(member: Member, splits: Splits, beside: str = "") -> str:
    """Return a digest of the training that a checkpoint belongs to.

    Args:
        member: Configuration and seed.
        splits: Splits that it trains on; shapes and labels count.
        beside: Text of whatever else decides its numbers and is known to the caller.
    """
    shapes = {
        f"{split.name}.{name}": list(array.shape)
        for split in (splits.train, splits.valid)
        for name, array in split.features.items()
    }
    told = [FORMAT, torch.__version__, resolve_fields(member.config), member.seed, shapes, beside]
    digest = hashlib.sha256(json.dumps([*told, splits.scheme], sort_keys=True).encode())
    for split in (splits.train, splits.valid):
        digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def to_bytes(checkpoint: Checkpoint, identity: str) -> bytes:
    """Serialise a checkpoint.

    Args:
        checkpoint: Checkpoint of a member.
        identity: Digest of its training, from `identity_of`.
    """
    state = checkpoint.state
    content = {
        **_plain_fields(checkpoint, "state"),
        **_plain_fields(state, "layout"),
        "curve": {name: [float(one) for one in of] for name, of in checkpoint.curve.items()},
        "blocks": {
            block: {name: list(shape) for name, shape in shapes.items()}
            for block, shapes in state.layout.blocks.items()
        },
        "transposed": state.layout.transposed,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    # PyTorch's reader may crash on damaged bytes; the checksum is compared before it reads any.
    checksum = hashlib.sha256(payload).hexdigest()
    return f"{MAGIC} {FORMAT} {identity} {checksum}\n".encode() + payload


def from_bytes(content: bytes, identity: str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        content: Bytes of `to_bytes`.
        identity: Digest of the training that is to resume from it.

    Raises:
        CheckpointError: The bytes are damaged, of another format or of another training.
    """
    # Bounded: foreign bytes may hold no line end at all, and may be large.
    line, _, payload = content[: LONGEST_LINE + 1].partition(b"\n")
    magic, *told = line.decode("ascii", errors="replace").split(" ")
    if magic != MAGIC or len(told) != 3:
        raise CheckpointError("these bytes are no checkpoint of a training")
    if told[0] != str(FORMAT):
        raise CheckpointError(
            f"the checkpoint has format {told[0]}, and this version reads {FORMAT}"
        )
    if told[1] != identity:
        raise CheckpointError(
            "the checkpoint belongs to another training: another configuration, seed, data or code"
        )
    payload = content[len(line) + 1 :]
    if hashlib.sha256(payload).hexdigest() != told[2]:
        raise CheckpointError("the checkpoint is damaged: its checksum is not that of its content")
    try:
        return _checkpoint_from(
            torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        )
    except Exception as error:  # a foreign file with a true checksum can hold anything
        raise CheckpointError(f"the checkpoint can't be read: {error}") from None


def _checkpoint_from(content: Mapping[str, Any]) -> Checkpoint:
    blocks = {
        block: {name: torch.Size(shape) for name, shape in shapes.items()}
        for block, shapes in content["blocks"].items()
    }
    state = MemberState(
        layout=Layout(blocks, content["transposed"]),
        **{name: content[name] for name in MemberState.__dataclass_fields__ if name != "layout"},
    )
    rows = [state.parameters, state.mean, state.square]
    rows += [] if content["best"] is None else [content["best"]]
    if any(row.dtype != torch.float32 or row.shape != (state.layout.length,) for row in rows):
        raise ValueError("its rows are not those of its layout")
    if any(len(values) != content["epochs"] for values in content["curve"].values()):
        raise ValueError("its curves are not as long as its training")
    return Checkpoint(
        **{name: content[name] for name in Checkpoint.__dataclass_fields__ if name != "state"},
        state=state,
    )


def _plain_fields(record: Checkpoint | MemberState, but: str) -> dict[str, Any]:
    """Return the fields of a record but one, by name, as PyTorch's restricted reader reads them."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__ if name != but}
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
