"""One configuration for every choice of every field, and values of every field that may vary.

What the contracts of the training core are bound to (`tests/msa_core/vectorised/test_packs.py`).
Who adds a choice adds a case here, and with it the whole contract. Widths are odd on purpose:
vectorised loops then have remainders.
"""

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.kinds import kinds_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config

# A last batch of 7 rows; lengths from 0 to 5.
RECIPE = PlantedConfig(train=39, valid=21, test=2, steps=5, width=5)
BASE = {
    **{f"model.{name}.width": 7 for name in MODALITIES},
    "model.projection.width": 3,
    "model.fusion.width": 9,
    "loss.unimodal.width": 5,
    "train.batch_size": 16,
    "train.epochs": 10,
    "train.patience": 100,
    "train.learning_rate": 0.003,
}
CASES = {
    "mean_mlp, concat": {},
    "lstm": {f"model.{name}.encoder": "lstm" for name in MODALITIES},
    "lstm beside mean_mlp": {"model.text.encoder": "lstm"},
    "sum, one modality less": {"model.fusion.kind": "sum", "model.vision.use": False},
    "tfn": {"model.fusion.kind": "tfn"},
    "shared pairs": {f"loss.alignment.{pair}.mode": "shared" for pair in PAIRS},
    "private pairs": {f"loss.alignment.{pair}.mode": "private" for pair in PAIRS},
    "fixed heads": {"loss.unimodal.kind": "fixed"},
    "annotated heads": {"loss.unimodal.kind": "fixed", "loss.unimodal.target": "annotated"},
    "ulgm": {"loss.unimodal.kind": "ulgm"},
    "bf16": {"train.precision": "bf16"},
    "tf32, ulgm": {"train.precision": "tf32", "loss.unimodal.kind": "ulgm"},
    "bf16, lstm": {"train.precision": "bf16", "model.audio.encoder": "lstm"},
    "raw features": {"features.standardise": False, "train.batch_size": 13},
}
# What the members of a pack are free in, as an example for each of them.
FREE = {
    "model.text.dropout": (0.0, 0.2, 0.5),
    "model.audio.dropout": (0.1, 0.0, 0.7),
    "model.vision.dropout": (0.3,),
    "model.fusion.dropout": (0.0, 0.4),
    **{f"loss.alignment.{pair}.weight": (0.1, 1.0, 30.0) for pair in PAIRS},
    **{f"loss.alignment.{pair}.margin": (0.05, 2.0) for pair in PAIRS},
    **{f"loss.unimodal.{name}.weight": (0.2, 1.0, 3.0) for name in MODALITIES},
    "train.learning_rate": (0.001, 0.003, 0.02),
    "train.weight_decay": (0.0, 0.01),
    "train.epochs": (10, 9),
    "train.patience": (100, 2),
    "train.monitor": ("mae", "corr"),
    "control.placebo": ("off", "a"),
    "model.encoder.transformer.dropout": (0.0, 0.2, 0.5),
    "model.fusion.mult.dropout": (0.1, 0.0, 0.4),
    "model.fusion.misa.similarity.weight": (0.3, 1.0, 2.0),
    "model.fusion.misa.difference.weight": (0.1, 0.5, 1.0),
    "model.fusion.misa.reconstruction.weight": (0.5, 1.0, 0.7),
    "model.fusion.reorg_sum.label_curve.weight": (0.001, 0.01, 0.1),
    "model.fusion.reorg_sum.pseudo.weight": (0.2, 0.5, 1.0),
    "loss.alignment.cov.momentum": (0.0, 0.9, 0.95),
    "loss.alignment.paircov.off_diagonal": (0.005, 0.05),
    "loss.alignment.mmd.bandwidth": (0.25, 1.0, 4.0),
    "loss.alignment.infonce.temperature": (0.05, 0.1, 0.5),
    "loss.alignment.cca.ridge": (0.01, 0.1, 1.0),
    **{f"loss.contrast.{kind}.weight": (0.01, 0.1, 1.0) for kind in kinds_of(Config, "contrast")},
    **{
        f"loss.contrast.{kind}.temperature": (0.07, 0.1, 0.5)
        for kind in ("anchor", "views", "instance", "sentiment", "icl", "ial")
    },
    "loss.contrast.views.dropped": (0.0, 0.2, 0.3),
    "loss.contrast.views.noise": (0.0, 0.05, 0.5),
    "loss.contrast.ial.joint_temperature": (0.05, 0.1, 0.5),
    "loss.contrast.rbc.gamma": (1.0, 1.5, 2.0),
    "loss.contrast.bound.ridge": (0.01, 0.1),
    "procedure.mla.bins_weight": (0.05, 0.1, 1.0),
    "procedure.stream.replay.weight": (0.3, 1.0),
    "procedure.stream.consistency.weight": (0.2, 1.0),
}

# Of the families of modules. Several kinds share a case where they can: what holds of a step that
# has them all holds of each.
FUSION, CONTRAST, ALIGNMENT = "model.fusion", "loss.contrast", "loss.alignment"


def _encoders(kind: str) -> dict[str, object]:
    return {f"model.{name}.encoder": kind for name in MODALITIES}


def _measured(*measures: str) -> dict[str, object]:
    """Every pair shared, each by its own measure."""
    return {
        **{f"{ALIGNMENT}.{pair}.mode": "shared" for pair in PAIRS},
        **{f"{ALIGNMENT}.{pair}.measure": kind for pair, kind in zip(PAIRS, measures, strict=True)},
    }


def _contrasted(*used: str) -> dict[str, object]:
    return {f"{CONTRAST}.{kind}.use": True for kind in used}


MODULE_CASES = {
    "gru, linear head": {**_encoders("gru"), f"{FUSION}.head": "linear"},
    "conv beside gru": {**_encoders("conv"), "model.text.encoder": "gru"},
    "transformer": {
        **_encoders("transformer"),
        "model.encoder.transformer.heads": 7,
        "model.encoder.transformer.layers": 2,
    },
    "gated by softmax": {f"{FUSION}.kind": "gated"},
    "gated by sigmoid": {f"{FUSION}.kind": "gated", f"{FUSION}.gated.gate": "sigmoid"},
    "lmf": {f"{FUSION}.kind": "lmf", f"{FUSION}.lmf.rank": 3},
    "mult": {**_encoders("conv"), f"{FUSION}.kind": "mult", f"{FUSION}.mult.heads": 3},
    "misa": {f"{FUSION}.kind": "misa", f"{FUSION}.misa.heads": 3},
    "reorg_sum": {
        **_encoders("conv"),
        f"{FUSION}.kind": "reorg_sum",
        f"{FUSION}.reorg_sum.heads": 3,
        "loss.unimodal.kind": "fixed",
    },
    "reorg_sum with means and a pseudo branch": {
        **_encoders("gru"),
        f"{FUSION}.kind": "reorg_sum",
        f"{FUSION}.reorg_sum.heads": 1,
        f"{FUSION}.reorg_sum.pool": "mean",
        f"{FUSION}.reorg_sum.pseudo.weight": 0.5,
        "loss.unimodal.kind": "fixed",
    },
    "measures cmd, mmd, rkd": {
        **_measured("cmd", "mmd", "rkd"),
        f"{ALIGNMENT}.standardise": "unit_variance",
        f"{ALIGNMENT}.layer": "encoder",
    },
    "measures paircov, infonce, cca": {
        **_measured("paircov", "infonce", "cca"),
        f"{ALIGNMENT}.layer": "head",
        "loss.unimodal.kind": "fixed",
    },
    "covariances averaged": {**_measured("cov", "cov", "cov"), f"{ALIGNMENT}.cov.estimate": "ema"},
    "covariances of a queue": {
        **_measured("cov", "cov", "cov"),
        f"{ALIGNMENT}.cov.estimate": "queue",
        f"{ALIGNMENT}.cov.queue": 20,
    },
    "contrasts": {
        **_contrasted("anchor", "views", "instance", "sentiment", "icl", "ial", "cpc"),
        "model.audio.encoder": "lstm",
    },
    "contrasts, other options": {
        **_contrasted("anchor", "instance", "icl", "ial"),
        f"{CONTRAST}.anchor.anchor": "own",
        f"{CONTRAST}.instance.stop_gradient": False,
        f"{CONTRAST}.icl.uncertainty": False,
        f"{CONTRAST}.ial.uncertainty": False,
        f"{CONTRAST}.ial.joint": "equal",
    },
    "rbc": _contrasted("rbc"),
    "rbc by products": {
        **_contrasted("rbc"),
        f"{CONTRAST}.rbc.posterior": "product",
        f"{CONTRAST}.rbc.bound": "elbo",
        f"{CONTRAST}.rbc.negatives": "cubo",
    },
    "two_stage": {**_contrasted("bound", "cpc"), "procedure.kind": "two_stage"},
    "mla by rls": {f"{FUSION}.kind": "sum", "procedure.kind": "mla"},
    "mla by entropies": {
        f"{FUSION}.kind": "sum",
        "procedure.kind": "mla",
        "procedure.mla.gradient": "off",
        "procedure.mla.weights": "entropy",
        "procedure.mla.order": "text_last",
    },
    "stream": {
        "procedure.kind": "stream",
        "procedure.stream.tasks": 2,
        "procedure.stream.buffer": 9,
        "loss.unimodal.kind": "fixed",
    },
    "frames missing": {"missing.frames": 0.3, "model.text.encoder": "gru"},
    "modalities missing": {
        "missing.modalities": 0.4,
        f"{FUSION}.kind": "sum",
        "loss.unimodal.kind": "fixed",
    },
    "unseen": {
        "missing.protocol": "unseen",
        "missing.modalities": 0.5,
        f"{FUSION}.kind": "tfn",
    },
    "shuffled labels, ulgm": {"control.shuffled_labels": True, "loss.unimodal.kind": "ulgm"},
    "constant ulgm, unused": {
        "loss.unimodal.kind": "ulgm",
        "loss.unimodal.ulgm.weighting": "constant",
        "loss.unimodal.ulgm.start": 3,
        "control.unused": 11,
    },
    "bf16, much of it": {
        **_contrasted("views", "sentiment", "ial", "cpc"),
        **_measured("cov", "paircov", "cca"),
        f"{ALIGNMENT}.cov.estimate": "ema",
        f"{FUSION}.kind": "misa",
        f"{FUSION}.misa.heads": 1,
        "train.precision": "bf16",
    },
}
