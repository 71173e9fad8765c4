"""Checkpoints: a member between two epochs, as bytes.

They hold everything that the rest of its training depends on. Random streams are keyed by seed,
name and epoch, so none of them is on its way. The bytes are a line that says what they are, with
a checksum of what follows: tensors, numbers and names as PyTorch writes them, which are read by
its restricted reader. Reading damaged or foreign bytes executes nothing.
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

from msa_core.config.rules import resolve
from msa_core.data.dataset import Splits
from msa_core.tensors.parameters import Layout
from msa_core.tensors.pytrees import Tree
from msa_core.vectorised.pack_key import Member

MAGIC = "triptych-checkpoint"
FORMAT = 1
LONGEST_LINE = 300  # of the first line, in bytes


class CheckpointError(ValueError):
    """Bytes that are no checkpoint of this member; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """One member's part of a stack, on the CPU.

    Attributes:
        layout: of the rows.
        parameters: [P].
        mean, square: [P], what Adam keeps.
        steps: block of parameters -> steps of Adam.
        kept: name -> what modules and the procedure keep for the next step.
        labels: see `MemberLabels.state`.
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
    """A member between two epochs; see `MemberResult` for what is not said here.

    Attributes:
        epochs: that are behind it.
        seconds: that it has trained.
        curve: of these epochs.
        valid: validation metrics of the last epoch.
        best_epoch: so far.
        best_valid: validation metrics of that epoch.
        best: its parameters [P]; None if there is none, or they are those of the state.
        state: of its tensors.
    """

    epochs: int
    seconds: float
    curve: Mapping[str, Sequence[float]]
    valid: Mapping[str, float]
    best_epoch: int
    best_valid: Mapping[str, float]
    best: Tensor | None
    state: State


def identity_of(member: Member, splits: Splits, beside: str = "") -> str:
    """Names the training that a checkpoint belongs to.

    Args:
        member: what is trained.
        splits: what it is trained on; their shapes and labels count.
        beside: whatever else decides its numbers and is known to the caller.
    """
    shapes = {
        f"{split.name}.{name}": list(array.shape)
        for split in (splits.train, splits.valid)
        for name, array in split.features.items()
    }
    told = [FORMAT, torch.__version__, resolve(member.config), member.seed, shapes, beside]
    digest = hashlib.sha256(json.dumps([*told, splits.scheme], sort_keys=True).encode())
    for split in (splits.train, splits.valid):
        digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def to_bytes(checkpoint: Checkpoint, identity: str) -> bytes:
    """The bytes of a checkpoint.

    Args:
        checkpoint: of a member.
        identity: see `identity_of`.
    """
    state = checkpoint.state
    content = {
        "epochs": checkpoint.epochs,
        "seconds": checkpoint.seconds,
        "names": list(checkpoint.curve),
        "curve": torch.tensor(list(checkpoint.curve.values()), dtype=torch.float64),
        "valid": dict(checkpoint.valid),
        "best_epoch": checkpoint.best_epoch,
        "best_valid": dict(checkpoint.best_valid),
        "best": checkpoint.best,
        "blocks": {
            block: {name: list(shape) for name, shape in shapes.items()}
            for block, shapes in state.layout.blocks.items()
        },
        "transposed": state.layout.transposed,
        "parameters": state.parameters,
        "mean": state.mean,
        "square": state.square,
        "steps": dict(state.steps),
        "kept": state.kept,
        "labels": state.labels,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    checksum = hashlib.sha256(payload).hexdigest()
    return f"{MAGIC} {FORMAT} {identity} {checksum}\n".encode() + payload


def from_bytes(content: bytes, identity: str) -> Checkpoint:
    """The checkpoint that bytes hold.

    Args:
        content: the bytes.
        identity: of the member that is to go on from them.

    Raises:
        CheckpointError: they are damaged, of another format or of another training.
    """
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
        return _checkpoint(torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True))
    except Exception as error:  # a foreign file with a true checksum can hold anything
        raise CheckpointError(f"the checkpoint can't be read: {error}") from None


def _checkpoint(content: Mapping[str, Any]) -> Checkpoint:
    blocks = {
        block: {name: torch.Size(shape) for name, shape in shapes.items()}
        for block, shapes in content["blocks"].items()
    }
    state = State(
        layout=Layout(blocks, content["transposed"]),
        **{name: content[name] for name in State.__dataclass_fields__ if name != "layout"},
    )
    rows = [state.parameters, state.mean, state.square]
    rows += [] if content["best"] is None else [content["best"]]
    if any(row.dtype != torch.float32 or row.shape != (state.layout.length,) for row in rows):
        raise ValueError("its rows are not those of its layout")
    curve = dict(zip(content["names"], content["curve"].tolist(), strict=True))
    if any(len(values) != content["epochs"] for values in curve.values()):
        raise ValueError("its curves are not as long as its training")
    return Checkpoint(
        epochs=content["epochs"],
        seconds=content["seconds"],
        curve=curve,
        valid=content["valid"],
        best_epoch=content["best_epoch"],
        best_valid=content["best_valid"],
        best=content["best"],
        state=state,
    )
