"""The peer: the Ray Tune script that a researcher writes from the tutorials, on the plain loop.

usage: plain_ray_tune.py FEATURES OUT [--as-tutorial] [--candidates 20 --tune-seeds 3 ...]

A function trainable that reports every epoch, `OptunaSearch`, `MLflowLoggerCallback` on SQLite,
one core per trial; then a grid over fresh seeds with the best configuration, which is read on test.
Everything else is as Ray has it: a new process a trial, a sync to disk, CSV and JSON beside MLflow.
Only its talk is turned off.

Two forms, and both are reported:

- The fairest (default), which knows what is slow in Ray: `plain_loop`, optimised by hand; a trial
  trains one configuration on all tuning seeds in turn, so a process starts a candidate and not a
  seed; it reports the running mean and nothing more, because the callback writes every number of
  a report by itself.
- `--as-tutorial`, what Ray's PyTorch tutorial and a typical script have: `tutorial_loop`, one
  training a trial, seeds by `Repeater` over `OptunaSearch`, every validation metric reported every
  epoch. Optuna is told the last epoch's MAE, as `Repeater` has it; the choice at the end is, as in
  the other form, by the mean of the seeds' best epochs.

Prints the test MAE, and last `cells=<trainings> seconds=<since the first line> epochs=<trained>`.
"""

import time

STARTED = time.perf_counter()  # before the imports: whoever runs this waits for them too

# ruff: noqa: E402
import argparse
import itertools
import logging
import math
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import ray
from budget import peer_parser
from plain_loop import Metrics, Recipe, Tensors, metrics_on, prepare, train_plain
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search import Repeater
from ray.tune.search.optuna import OptunaSearch
from tutorial_loop import confirm_once, tune_once

from msa_core.data.load import load_dataset

SPACE = {  # fields of a recipe
    "learning_rate": tune.loguniform(2e-4, 5e-3),
    "weight_decay": tune.loguniform(1e-6, 1e-2),
    "head_dropout": tune.uniform(0.0, 0.6),
}
FIRST_CONFIRM_SEED = 1000  # the tuning seeds count from 0


def tune_candidate(
    config: dict[str, Any], recipe: Recipe, tensors: Tensors, seeds: Sequence[int]
) -> None:
    """Train one configuration on every seed; the metric is the mean of the seeds' best epochs."""
    best: list[float] = []
    epochs = itertools.count(1)

    def report(epoch: int, metrics: Metrics) -> None:
        best[-1] = min(best[-1], metrics.get("mae", math.inf))
        tune.report({"mae": statistics.fmean(best), "epochs": next(epochs)})

    for seed in seeds:
        best.append(math.inf)
        train_plain(replace(recipe, **config), tensors, seed, report)


def confirm_seed(config: dict[str, Any], recipe: Recipe, tensors: Tensors) -> None:
    """Train the chosen configuration on one fresh seed and read test."""
    epochs = 0

    def report(epoch: int, metrics: Metrics) -> None:
        nonlocal epochs
        epochs = epoch
        tune.report({"mae": metrics.get("mae", math.inf), "epochs": epochs})

    _, model = train_plain(recipe, tensors, config["seed"], report)
    tested = metrics_on(tensors.test, model, tensors.scheme)
    tune.report({**{f"test_{name}": value for name, value in tested.items()}, "epochs": epochs})


def fit(
    name: str, trainable: Any, space: dict[str, Any], out: Path, **tune_config: Any
) -> tune.ResultGrid:
    """Run one Tuner, one core per trial.

    Raises:
        RuntimeError: a trial failed.
    """
    callback = MLflowLoggerCallback(
        tracking_uri=f"sqlite:///{out / 'mlflow.db'}", experiment_name=name
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            max_concurrent_trials=int(ray.cluster_resources()["CPU"]), **tune_config
        ),
        run_config=tune.RunConfig(
            name=name, storage_path=str(out), verbose=0, callbacks=[callback]
        ),
    )
    results = tuner.fit()
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} trials of '{name}' failed") from results.errors[
            0
        ]
    return results


def search(
    recipe: Recipe, tensors: Tensors, options: argparse.Namespace, out: Path
) -> tuple[tune.ResultGrid, dict[str, Any]]:
    """Every trial of the tuning, and the best configuration."""
    seeds, samples = options.tune_seeds, options.candidates
    named = {"recipe": recipe, "tensors": tensors}
    if options.as_tutorial:
        trainable = tune.with_parameters(tune_once, **named)
        algorithm, samples = Repeater(OptunaSearch(), repeat=seeds), samples * seeds
    else:
        trainable = tune.with_parameters(tune_candidate, **named, seeds=range(seeds))
        algorithm = OptunaSearch()
    goal = {"metric": "mae", "mode": "min"}
    tuned = fit("tune", trainable, SPACE, out, search_alg=algorithm, num_samples=samples, **goal)
    if not options.as_tutorial:
        return tuned, tuned.get_best_result().config
    trials = tuned.get_dataframe(filter_metric="mae", filter_mode="min")  # each at its best epoch
    maes = trials.groupby([f"config/{name}" for name in SPACE])["mae"].mean()
    return tuned, dict(zip(SPACE, maes.idxmin(), strict=True))


def main() -> None:
    """Tune, confirm, print."""
    options = _options()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new output talks even at verbose=0
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)

    recipe = Recipe(epochs=options.epochs, patience=options.patience, batch_size=options.batch_size)
    encoder = "lstm" if options.as_tutorial else recipe.encoder  # the frames, or their mean
    tensors = prepare(load_dataset(options.features, "mosi"), encoder)
    tuned, best = search(recipe, tensors, options, out)
    confirm = confirm_once if options.as_tutorial else confirm_seed
    fresh = range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + options.confirm_seeds)
    confirmed = fit(
        "confirm",
        tune.with_parameters(confirm, recipe=replace(recipe, **best), tensors=tensors),
        {"seed": tune.grid_search(list(fresh))},
        out,
    )
    ray.shutdown()

    maes = [result.metrics["test_mae"] for result in confirmed]
    cells = options.candidates * options.tune_seeds + len(maes)
    epochs = sum(result.metrics["epochs"] for result in [*tuned, *confirmed])
    chosen = ", ".join(f"{name}={value:.3g}" for name, value in sorted(best.items()))
    sys.stdout.write(
        f"best: {chosen}\n"
        f"test MAE {statistics.fmean(maes):.4f} sd {statistics.stdev(maes):.4f}\n"
        f"cells={cells} seconds={time.perf_counter() - STARTED:.2f} epochs={epochs}\n"
    )


def _options() -> argparse.Namespace:
    parser = peer_parser("Plain Ray Tune on the plain loop.")
    parser.add_argument("--as-tutorial", action="store_true", help="the form that tutorials have")
    return parser.parse_args()


if __name__ == "__main__":
    main()
