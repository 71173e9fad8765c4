"""Which paper a field's module comes from, and where the field is declared.

Both stand beside the options of a module, so nothing here imports PyTorch, which takes two seconds.
"""

import inspect
import re
import sys
from pathlib import Path

from msa_core.config.kinds import (
    declared_origin,
    family_of,
    is_added,
    kind_of_path,
    module_of,
    options_class,
)
from msa_core.config.schema import Config
from spaces.fields.paths import fields_of, section_at


def sources_of(config_class: type[Config], path: str) -> dict[str, str]:
    """Map each value of a field to the source of the module that it chooses.

    The value is empty where the source is that of the field itself, an option of a module. A field
    that belongs to no module has no source.
    """
    if option := kind_of_path(config_class, path):
        family, kind, _ = option
        return {"": source_of_kind(config_class, family, kind)}
    info, _ = fields_of(config_class)[path]
    if family := family_of(info):
        return {kind: source_of_kind(config_class, family, kind) for kind in info.choices}
    # Origins without a source only cite: their text stands in the source of the kind.
    switched = {value: origin.source for value, origin in info.origins.items() if origin.source}
    own = getattr(_declaring_class(config_class, path), "source", "")
    return switched or ({"": own} if own else {})


def source_of_kind(config_class: type[Config], family: str, kind: str) -> str:
    """Return what a kind's options declare as its source, in one line.

    A plugin may have it in its module's docstring instead, as a paragraph `Source:`; empty if it
    has none.
    """
    declared = declared_origin(options_class(config_class, family, kind)).source
    if not declared and is_added(family, kind):
        return documented_paragraph(module_of(config_class, family, kind), "Source")
    return declared


def documented_paragraph(module: object, heading: str) -> str:
    """Return the paragraph of a docstring that starts with `Formula:` or `Source:`, in one line."""
    # `cleandoc`, not `inspect.getdoc`, which gives a class without a docstring that of its base.
    text = inspect.cleandoc(module.__doc__ or "").replace("`", "")
    found = re.search(rf"^{heading}:\s*(.*?)(?=\n\s*\n|\n[A-Z][a-z]+:|\Z)", text, re.S | re.M)
    if not found:
        return ""
    text = " ".join(found[1].split())
    if heading == "Formula":  # what follows it explains it
        text = re.split(r"\. (?=[A-Z])", text)[0]
    return text.rstrip(".")


def declared_in(config_class: type[Config], path: str) -> str:
    """Return file and class of a field's declaration: `msa_core/config/schema.py, TrainConfig`."""
    own = _declaring_class(config_class, path)
    file = Path(str(sys.modules[own.__module__].__file__))
    # A plugin's module has no package, and its file no folder that a reader would know.
    path = f"{own.__module__.replace('.', '/')}.py" if "." in own.__module__ else file.name
    return f"{path}, {own.__name__}"


def _declaring_class(config_class: type[Config], path: str) -> type:
    section, _, name = path.rpartition(".")
    # Not the holder itself: an option may be inherited, such as the `weight` of a contrast.
    own: type = next(
        part
        for part in section_at(config_class, section).__mro__
        if name in vars(part).get("__annotations__", {})
    )
    return own
