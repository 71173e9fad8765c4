"""A plugin whose module does, in some arms, what modules must not do."""

NAME = "bad.py"
TEXT = '''\
import sys
import time
from dataclasses import dataclass

import torch
from msa_core.modules.fusion.vector_fusions import Fusion
from msa_core.plugins import FusionOptions, count, fusion


@dataclass(frozen=True, kw_only=True)
class BadOptions(FusionOptions):
    """The mean, or what its number says."""

    does: int = count(1, "1 mean, 2 raise, 3 not a number, 4 hang, 5 need memory", "does", 9)

    def fused_width(self, width, modalities):
        return width


def eat():
    held = []
    while True:
        held.append(bytearray(50_000_000))
        time.sleep(0.02)


@fusion("bad", BadOptions)
class Bad(Fusion):
    """The mean."""

    def forward(self, seen):
        mean_BF = torch.stack(list(seen.projected.values())).mean(dim=0)
        does = self.options.does
        if does == 2:
            print("about to raise", file=sys.stderr)
            raise ValueError("this module never worked")
        if does == 3:
            mean_BF = mean_BF * float("nan")
        if does == 4:
            print("about to hang")
            time.sleep(1e6)
        if does == 5:
            print("about to need memory", flush=True)
            eat()
        return mean_BF, {}
'''
STUDY = """\
study: bad
data: {planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}}
plugins: [bad.py]
base:
  model.projection.width: 4
  model.fusion.width: 8
  model.fusion.kind: bad
  train.epochs: 3
search: {}
baseline: fine
arms:
  - explicit:
      fine: {}
      raises: {model.fusion.bad.does: 2}
      undefined: {model.fusion.bad.does: 3}
      hangs: {model.fusion.bad.does: 4}
      eats: {model.fusion.bad.does: 5}
      fine too: {model.fusion.kind: concat}
budget: {candidates: 1, tune_seeds: 1, confirm_seeds: 2}
"""
