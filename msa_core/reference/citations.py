"""Which papers the modules of a configuration come from. Standard library only.

The entries are those of `references.bib`; what each module takes from its paper, and where it
departs from it, is in its docstring (`Source:`) and in `docs/modules.md`.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msa_core.config.alignment import aligned_pairs
from msa_core.config.kinds import FAMILIES, chosen, is_added, options_of
from msa_core.config.paths import flatten
from msa_core.config.schema import Config
from msa_core.config.unimodal import unimodal_heads

FILE = Path(__file__).with_name("references.bib")
OF_KINDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("encoder", "mean_mlp"): ("mao2022msena",),
    ("encoder", "lstm"): ("hochreiter1997lstm",),
    ("encoder", "gru"): ("cho2014gru",),
    ("encoder", "conv"): ("tsai2019mult",),
    ("encoder", "transformer"): ("vaswani2017attention", "xiong2020layer"),
    ("fusion", "gated"): ("arevalo2017gated",),
    ("fusion", "tfn"): ("zadeh2017tensor",),
    ("fusion", "lmf"): ("liu2018lowrank",),
    ("fusion", "mult"): ("tsai2019mult",),
    ("fusion", "misa"): ("hazarika2020misa",),
    ("fusion", "reorg_sum"): ("zhang2023unseen",),
    ("alignment", "cov"): ("sun2016coral", "lai2024shared"),
    ("alignment", "paircov"): ("zbontar2021barlow",),
    ("alignment", "cmd"): ("zellinger2017cmd", "hazarika2020misa"),
    ("alignment", "mmd"): ("gretton2012mmd",),
    ("alignment", "rkd"): ("park2019rkd", "sarfraz2024beyond"),
    ("alignment", "infonce"): ("oord2018cpc", "radford2021clip"),
    ("alignment", "cca"): ("andrew2013dcca",),
    ("contrast", "anchor"): ("zhang2024clfa",),
    ("contrast", "views"): ("lin2022mmcl",),
    ("contrast", "instance"): ("lin2022mmcl",),
    ("contrast", "sentiment"): ("khosla2020supcon", "lin2022mmcl"),
    ("contrast", "icl"): ("lin2022mclea",),
    ("contrast", "ial"): ("lin2022mclea",),
    ("contrast", "rbc"): ("shi2021relating",),
    ("contrast", "bound"): ("han2021mmim",),
    ("contrast", "cpc"): ("han2021mmim",),
    ("procedure", "mla"): ("zhang2024mla",),
    ("procedure", "two_stage"): ("han2021mmim",),
    ("procedure", "stream"): ("sarfraz2024beyond", "vitter1985reservoir"),
}
# Kinds that nobody is cited for, and why.
UNCITED: Mapping[tuple[str, str], str] = {
    ("fusion", "concat"): "common practice",
    ("fusion", "sum"): "common practice",
    ("procedure", "joint"): "common practice",
}
TRAINING = ("kingma2015adam", "paszke2019pytorch")  # of every configuration
ANALYSES = ("liang2024hemm", "liang2024semi", "bertschinger2014unique")  # of results, not models


@dataclass(frozen=True, slots=True)
class Extra:
    """Keys that depend on more than the kind.

    Attributes:
        keys: that are added.
        used: whether a configuration calls for them.
    """

    keys: tuple[str, ...]
    used: Callable[[Config], bool]


def _contrast(config: Config, kind: str) -> bool:
    options = options_of(config, "contrast", kind)
    return bool(options.use and options.weight > 0)


EXTRAS = (
    Extra(("kendall2018uncertainty",), lambda config: any(
        _contrast(config, kind) and options_of(config, "contrast", kind).uncertainty
        for kind in ("icl", "ial")
    )),
    Extra(("wu2018mvae",), lambda config: _contrast(config, "rbc")
          and config.loss.contrast.rbc.posterior == "product"),
    Extra(("shi2019mmvae",), lambda config: _contrast(config, "rbc")
          and config.loss.contrast.rbc.posterior == "mixture"),
    Extra(("burda2016iwae",), lambda config: _contrast(config, "rbc")
          and "iwae" in (config.loss.contrast.rbc.bound, config.loss.contrast.rbc.negatives)),
    Extra(("dieng2017chi",), lambda config: _contrast(config, "rbc")
          and config.loss.contrast.rbc.contrast
          and config.loss.contrast.rbc.negatives == "cubo"),
    Extra(("zeng2019owm",), lambda config: config.procedure.kind == "mla"
          and config.procedure.mla.gradient == "rls"),
    Extra(("yu2020sims",), lambda config: config.loss.unimodal.kind == "fixed"
          and config.loss.unimodal.target == "annotated" and bool(unimodal_heads(config))),
    Extra(("yu2021selfmm",), lambda config: config.loss.unimodal.kind == "ulgm"
          and bool(unimodal_heads(config))),
    Extra(("yuan2021tfrnet",), lambda config: config.missing.frames > 0),
    Extra(("neverova2016moddrop",), lambda config: config.missing.modalities > 0),
    Extra(("zhang2023unseen",), lambda config: config.missing.protocol == "unseen"),
    Extra(("srivastava2014dropout",), lambda config: any(
        path.endswith("dropout") and isinstance(value, float) and value > 0
        for path, value in flatten(config).items()
        if path.startswith(("model.text.", "model.audio.", "model.vision.", "model.fusion.dropout"))
    )),
)  # fmt: skip


def references_of(config: Config) -> tuple[str, ...]:
    """Keys of the papers that a configuration's modules come from, each once.

    A module that is off, or whose weight is 0, is not there. A study's own modules (plugins) have
    no keys: what they come from only their author knows.
    """
    keys: list[str] = []
    for family in FAMILIES:
        for kind in chosen(config, family):
            if not is_added(family, kind) and _counts(config, family, kind):
                keys += OF_KINDS.get((family, kind), ())
    for extra in EXTRAS:
        if extra.used(config):
            keys += extra.keys
    return tuple(dict.fromkeys([*keys, *TRAINING]))


def _counts(config: Config, family: str, kind: str) -> bool:
    """Whether a chosen kind has a part in the training."""
    if family == "contrast":
        return _contrast(config, kind)
    if family == "alignment":
        pairs = [getattr(config.loss.alignment, pair) for pair in aligned_pairs(config)]
        return any(pair.measure == kind for pair in pairs)
    return True


@functools.cache
def references() -> Mapping[str, str]:
    """Key -> BibTeX entry, of every entry there is."""
    text = FILE.read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),.*?^\}$", text, re.M | re.S)
    found = re.finditer(r"^@\w+\{[^,\s]+,.*?^\}$", text, re.M | re.S)
    return dict(zip(entries, (entry[0] for entry in found), strict=True))
