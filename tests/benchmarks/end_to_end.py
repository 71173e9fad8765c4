"""The same tuning and confirming by Triptych and by its peers, timed from outside.

usage: end_to_end.py FEATURES [--mmsa-python PATH] [--candidates 20 --tune-seeds 3 ...] [--only ...]

One after another, each a process of its own in a fresh folder, with wall time from its start to
its end, imports and Ray's start included:

- `triptych`: `triptych run` of a study with one arm, the `triptych` beside this interpreter.
- `ray-fair`, `ray-tutorial`: the two forms of `plain_ray_tune.py`; see there.
- `mmsa-default`, `mmsa-fastest`: `mmsa_tuner.py` with its default of four loader workers, and with
  none and one thread. They need `--mmsa-python`, the interpreter of an environment with MMSA.

A cell is one training. Ways stop at different epochs and MMSA skips draws, so the ratio is that of
cells per hour; the epochs are in the table too. Exit code 1 if a way failed.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from budget import BUDGET, add_budget

HERE = Path(__file__).resolve().parent
STUDY = """\
study: one-arm
data: {{labels: mosi}}
base:
  train.epochs: {epochs}
  train.patience: {patience}
  train.batch_size: {batch_size}
search:
  train.learning_rate: {{log_uniform: [2e-4, 5e-3]}}
  train.weight_decay: {{log_uniform: [1e-6, 1e-2]}}
  model.fusion.dropout: {{uniform: [0.0, 0.6]}}
arms:
  - explicit: {{full: {{}}}}
budget: {{candidates: {candidates}, tune_seeds: {tune_seeds}, confirm_seeds: {confirm_seeds}}}
"""
PEERS = {
    "ray-fair": ("plain_ray_tune.py",),
    "ray-tutorial": ("plain_ray_tune.py", "--as-tutorial"),
    "mmsa-default": ("mmsa_tuner.py", "--workers", "4"),
    "mmsa-fastest": ("mmsa_tuner.py", "--workers", "0", "--threads", "1"),
}
LAST_LINE = re.compile(r"^cells=(\d+) seconds=\S+ epochs=(\d+)$", re.MULTILINE)
SHOWN_OF_STDERR = 15  # lines


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way took."""

    cells: int
    epochs: int
    seconds: float

    @property
    def cells_an_hour(self) -> float:
        return 3600.0 * self.cells / self.seconds


def measure(name: str, options: argparse.Namespace) -> Measured | None:
    """Run one way from start to end; none, with its last words printed, if it failed."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        out = Path(folder)
        command = command_of(name, options, out)
        # Files and not pipes: a process that Ray leaves behind could keep a pipe open.
        paths = out / "stdout.txt", out / "stderr.txt"
        try:
            with paths[0].open("w") as stdout, paths[1].open("w") as stderr:
                started = time.perf_counter()
                subprocess.run(command, cwd=out, stdout=stdout, stderr=stderr, check=True)
                seconds = time.perf_counter() - started
            return Measured(*count(name, out, paths[0].read_text(errors="replace")), seconds)
        except subprocess.CalledProcessError as error:
            problem = f"exit code {error.returncode}"
        except (OSError, ValueError) as error:  # it does not start, or trained nothing countable
            problem = str(error)
        complaints = paths[1].read_text(errors="replace").strip().splitlines()
        say("\n  ".join([f"{name}: FAILED, {problem}", *complaints[-SHOWN_OF_STDERR:]]))
        return None


def command_of(name: str, options: argparse.Namespace, out: Path) -> list[str]:
    """The command of one way."""
    features = str(options.features.resolve())
    settings = {field: getattr(options, field) for field in BUDGET}
    if name == "triptych":
        study = out / "one-arm.yaml"
        study.write_text(STUDY.format(**settings))
        program = str(Path(sys.executable).with_name("triptych"))
        return [program, "run", str(study), "--data", features, "--workdir", str(out)]
    script, *flags = PEERS[name]
    python = str(options.mmsa_python.absolute()) if script == "mmsa_tuner.py" else sys.executable
    for field, value in settings.items():
        flags += [f"--{field.replace('_', '-')}", str(value)]
    return [python, str(HERE / script), features, str(out / "out"), *flags]


def count(name: str, out: Path, printed: str) -> tuple[int, int]:
    """Cells and epochs that one way trained.

    Raises:
        OSError: Triptych wrote no ledger.
        ValueError: a peer did not print its last line.
    """
    if name == "triptych":
        lines = (out / "runs" / "one-arm" / "ledger.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        # Lines without a phase are measurements of packs, and no cells.
        epochs = [cell["epochs"] for cell in records if "phase" in cell and "pack_key" not in cell]
        return len(epochs), sum(epochs)
    found = LAST_LINE.findall(printed)
    if not found:
        raise ValueError("no line 'cells=... seconds=... epochs=...'")
    return int(found[-1][0]), int(found[-1][1])


def table(measured: dict[str, Measured]) -> str:
    """Everything measured, in Markdown."""
    lines = [
        "| way | cells | epochs trained | wall seconds | cells per hour | triptych is N x |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    ours = measured.get("triptych")
    for name, way in measured.items():
        ratio = f"{ours.cells_an_hour / way.cells_an_hour:.1f}" if ours else "-"
        lines.append(
            f"| {name} | {way.cells} | {way.epochs} | {way.seconds:.1f} "
            f"| {way.cells_an_hour:.0f} | {ratio} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """Processor, cores, versions."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray"))
    return (
        f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores, "
        f"python {platform.python_version()}, {versions}"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Measure each way; the exit code."""
    options = _options()
    say(machine())
    say(", ".join(f"{field} {getattr(options, field)}" for field in BUDGET))
    measured: dict[str, Measured] = {}
    failed = []
    for name in ("triptych", *PEERS):
        if options.only and name not in options.only:
            continue
        if name.startswith("mmsa") and options.mmsa_python is None:
            say(f"{name}: left out, no --mmsa-python")
            continue
        say(f"{name}: started")
        way = measure(name, options)
        if way is None:
            failed.append(name)
            continue
        measured[name] = way
        say(f"{name}: {way.cells} cells, {way.epochs} epochs, {way.seconds:.1f} s")
    say(f"\n{table(measured)}")
    if failed:
        say(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Triptych and its peers, timed from outside.")
    parser.add_argument("features", type=Path, help="feature file with `mosi` labels")
    parser.add_argument("--mmsa-python", type=Path, help="interpreter that has MMSA")
    parser.add_argument("--only", nargs="+", choices=["triptych", *PEERS], help="these ways")
    add_budget(parser)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
