"""How to read a study's results in Python: the script behind `docs/reading-results.md`.

`python docs/reading_results.py FOLDER` runs it on a results folder that has a report. Cells are
marked as notebooks know them, so an editor can run them one by one.
"""
# ruff: noqa: T201

# %% [markdown]
# `triptych.load` reads the report of a results folder into a pandas data frame. A row of `cells` is
# one training: its arm, phase, candidate and seed, its metrics (`metric.*`) and its configuration
# (`param.*`). A value that is missing is `<NA>`, never 0.

# %%
import sys

import triptych

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "runs/planted-quick"
cells = triptych.load(FOLDER)
print(len(cells), "cells;", ", ".join(cells.columns[:7]))
print(cells.groupby(["phase", "status"]).size())

# %% [markdown]
# Confirm cells alone have test metrics: nothing is chosen on test. Mean and standard deviation over
# seeds, arm by arm:

# %%
confirm = cells[(cells["phase"] == "confirm") & (cells["status"] == "complete")]
print(confirm.groupby("arm", sort=False)["metric.test.mae"].agg(["count", "mean", "std"]).round(3))

# %% [markdown]
# Every arm has the same seeds, so differences are taken seed by seed. A table with a row per seed
# and a column per arm makes them:

# %%
by_seed = confirm.pivot(index="seed", columns="arm", values="metric.test.mae")
differences = by_seed.sub(by_seed["full"], axis=0).drop(columns="full")
print(differences.agg(["mean", "std"]).round(3))

# %% [markdown]
# The same with intervals, corrected p values and verdicts is the table `arms`, a row per arm and
# metric. Verdicts are on the primary metric alone:

# %%
arms = triptych.load(FOLDER, "arms")
primary = arms[arms["verdict"].notna()]
print(primary[["arm", "mean", "delta", "ci_low", "ci_high", "p_holm", "verdict"]].round(3))

# %% [markdown]
# What was tried before: each candidate of an arm by its validation metric, the best first.

# %%
tuning = cells[cells["phase"] == "tune"]
values = ["metric.valid.mae", "metric.seconds"]
tried = tuning.groupby(["arm", "candidate"], sort=False)[values].mean()
print(tried.sort_values("metric.valid.mae").groupby("arm", sort=False).head(1).round(3))

# %% [markdown]
# Other tables are there where a study has such evidence, e.g. `importance`, `slices`, `effects` or
# `learning`; an unknown or absent one says so:

# %%
try:
    triptych.load(FOLDER, "effects")
except ValueError as error:
    print(str(error).replace(FOLDER, "FOLDER"))
