"""What every way of running the study is given. MMSA's interpreter reads it: no imports of ours."""

import argparse
from pathlib import Path

BUDGET = {
    "candidates": 20,
    "tune_seeds": 3,
    "confirm_seeds": 10,
    "epochs": 40,
    "patience": 8,
    "batch_size": 32,
}


def add_budget(parser: argparse.ArgumentParser) -> None:
    """One option for each part of the budget."""
    for field, value in BUDGET.items():
        parser.add_argument(f"--{field.replace('_', '-')}", type=int, default=value)


def peer_parser(description: str) -> argparse.ArgumentParser:
    """The options that all peers have: features, a folder to write to, and the budget."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("features", type=Path, help="feature file with `mosi` labels")
    parser.add_argument("out", type=Path, help="folder for everything that is written")
    add_budget(parser)
    return parser
