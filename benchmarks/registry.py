"""The registry with a long queue: what the example `scale` of download-registry measures, several times.

There is nothing to compare it with, so its figures stand for themselves. Every write of it is a synced commit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cases import Lab, case
from failures import CaseFailed, NotHere
from pairs import Figure, Row, alone

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS = 100_000
MANY_ROWS = 1_000_000
# A smoke test shows that everything runs.
FEW_ROWS = 2_000

READY = "open and recover"
CLAIM = "claim the next row"
CHUNK = "record a chunk, one caller"
CHUNKS = "record a chunk, 64 callers at once"
ENQUEUE = "enqueue, 64 callers at once"
PAGES = (
    "first page by newest",
    "first page by name",
    "page after up to 20,000 rows by size",
    "first page of all live states by newest",
    "first page of a small peer by newest",
    "count the states",
    "look for a URL",
)


def prepare(quick: bool) -> None:
    """Builds the example, while there is a network; one that cannot be built is reported by the case."""
    build = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "download-registry", "--example", "scale"]
    if shutil.which("cargo"):
        subprocess.run(build, cwd=REPOSITORY, check=False)


@case("registry", "The registry with 100,000 rows", prepare=prepare)
def registry(lab: Lab) -> Sequence[Row]:
    return measured(lab, lab.full_or_quick(ROWS, FEW_ROWS))


@case("registry-million", "The registry with 1,000,000 rows", prepare=prepare)
def registry_million(lab: Lab) -> Sequence[Row]:
    return measured(lab, lab.full_or_quick(MANY_ROWS, FEW_ROWS))


def measured(lab: Lab, rows: int) -> list[Row]:
    directory = lab.work / "state"
    directory.mkdir()
    filled = scale(rows, directory, "start")
    runs = [scale(rows, directory, "start,claims,progress,records") for _ in range(lab.pairs)]
    pages = scale(rows, directory, "lists")
    found = [
        alone(READY, Figure("p50_ms", "median", "ms", aim=250, floor=500), "registry", column(runs, READY, "p50_ms")),
        alone(CLAIM, Figure("p50_ms", "median", "ms"), "registry", column(runs, CLAIM, "p50_ms")),
        alone(CLAIM, Figure("p99_ms", "99 of 100 within", "ms", aim=1), "registry", column(runs, CLAIM, "p99_ms")),
        alone(CHUNK, Figure("p50_ms", "median", "ms"), "registry", column(runs, CHUNK, "p50_ms")),
        alone(
            CHUNKS,
            Figure("per_second", "each synced", "/s", more_is_better=True, aim=10_000),
            "registry",
            column(runs, CHUNKS, "per_second"),
        ),
        alone(ENQUEUE, Figure("per_second", "each synced", "/s", True), "registry", column([filled], ENQUEUE, "per_second")),
    ]
    page = Figure("p50_ms", "median", "ms")
    return found + [alone(what, page, "registry", column([pages], what, "p50_ms")) for what in PAGES if what in pages]


def column(runs: Sequence[dict[str, dict[str, float]]], what: str, figure: str) -> list[float]:
    return [run[what][figure] for run in runs]


def scale(rows: int, directory: Path, parts: str) -> dict[str, dict[str, float]]:
    """One run of the example; its figures by what was measured."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release/examples/scale"
    if not program.exists():
        raise NotHere(f"{program}: the example scale of download-registry in its release build")
    command = [str(program), str(rows), "--in", str(directory), "--only", parts, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CaseFailed(f"{' '.join(command)}: {ended.stderr.strip()}")
    return figures(ended.stdout)


def figures(text: str) -> dict[str, dict[str, float]]:
    """What the example printed, by what was measured."""
    return {line.pop("what"): line for line in json.loads(text)["figures"]}
