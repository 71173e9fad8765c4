"""What designs are made of in the tests: fields that any model has, and components of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st

from msa_core.config.schema import Config
from spaces.designs.make_arms import (
    Arm,
    Component,
    Part,
    add_one_in,
    factorial,
    fractional,
    leave_one_out,
    path,
    sort_canonically,
)
from spaces.fields.declaration import Value

# Values that are no defaults; fields of all parts of the configuration.
FIELDS: dict[str, Value] = {
    "control.placebo": "sugar",
    "features.standardise": False,
    "loss.alignment.text_audio.mode": "shared",
    "loss.alignment.audio_vision.mode": "private",
    "loss.contrast.icl.use": True,
    "loss.unimodal.kind": "ulgm",
    "model.audio.use": False,
    "model.fusion.dropout": 0.3,
    "model.fusion.kind": "gated",
    "model.text.encoder": "lstm",
    "model.text.width": 16,
    "train.batch_size": 64,
    "train.epochs": 7,
}
NAMES = st.text("abcXYZ 01é-", min_size=1, max_size=6).map(str.strip).filter(bool)


@st.composite
def components(
    draw: Callable[[Any], Any], least: int = 1, most: int = 5, side: str = ""
) -> list[Component]:
    """Components of fields of their own; all switch on or off the `side`, if it is given."""
    names = draw(st.lists(NAMES, min_size=least, max_size=most, unique=True))
    fields = draw(st.permutations(list(FIELDS)))
    found = []
    for name in names:
        own = {fields.pop(): 0 for _ in range(draw(st.integers(1, 2)))}
        part = Part(name=name, changes={field: FIELDS[field] for field in own})
        nothing = Part(name=name, changes={})
        is_on = draw(st.booleans()) if not side else side == "on"
        found.append(
            Component(name=name, on=part, off=nothing)
            if is_on
            else Component(name=name, on=nothing, off=part)
        )
    return found


def on_canonical_path(parts: Sequence[Component]) -> list[Arm]:
    """The path of a mapping, which has no order."""
    order = [component.name for component in sort_canonically(Config, parts)]
    return path(Config, parts, order)


# Of components -> arms; and how many for k of them.
OF_COMPONENTS: dict[str, tuple[Callable[[Sequence[Component]], list[Arm]], Any]] = {
    "leave_one_out": (leave_one_out, lambda k: k + 1),
    "add_one_in": (add_one_in, lambda k: k + 1),
    "factorial": (partial(factorial, Config), lambda k: 2**k),
    "fractional": (lambda parts: fractional(Config, parts, 3), {3: 4, 4: 8, 5: 8}.__getitem__),
    "path": (on_canonical_path, lambda k: k + 1),
}


def named(arms: Sequence[Arm]) -> dict[str, tuple[object, ...]]:
    """Name of each arm -> all that makes it what it is."""
    return {arm.name: (dict(arm.changes), dict(arm.search), arm.reference) for arm in arms}
