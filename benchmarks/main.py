"""Runs cases and reports; started by benchmarks/run, which brings what they need and a network of their own."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cases
import namespace
import report
from cases import CASES, Lab
from failures import CaseFailed, NotHere

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
UNAVAILABLE = 69


def main(words: Sequence[str]) -> int:
    cases.load()
    asked = parse(words)
    try:
        names = cases.select(list(CASES), asked.only)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.list:
        for name in names:
            print(f"{name:16} {CASES[name].title}")
        return 0
    if asked.programs:
        needed = {program: package for name in names for program, package in CASES[name].programs.items()}
        print("programs:", *(word for pair in needed.items() for word in pair))
        return 0
    if asked.prepare:
        if asked.build:
            subprocess.run(["cargo", "build", "--release", "--locked", "-p", "peerd"], check=True, cwd=ROOT)
        for name in names:
            CASES[name].prepare(asked.quick)
        return 0
    peerd = find_peerd(asked)
    if peerd is None:
        return 2
    # Asked to stop, it ends what it started and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    namespace.prepare()
    results: dict[str, dict[str, object]] = {}
    tables: dict[str, str] = {}
    failed: list[str] = []
    missing: list[str] = []
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="peerd-bench-", dir=asked.work))
    try:
        for name in names:
            lab = Lab(work / name, peerd, asked.pairs, asked.quick)
            lab.work.mkdir()
            print(f"\n## {name}: {CASES[name].title}\n", flush=True)
            try:
                rows = list(CASES[name].run(lab))
            except CaseFailed as error:
                print(f"FAILED: {error}", flush=True)
                failed.append(name)
            except NotHere as error:
                print(f"not measured: {error}", flush=True)
                missing.append(name)
            else:
                if lab.disturbed:
                    lab.note(f"Programs that are no part of this disturbed {lab.disturbed} of the runs.")
                tables[name] = report.table(rows, lab.notes)
                results[name] = {"rows": [row.as_dict() for row in rows], "notes": lab.notes}
                print(tables[name], flush=True)
                # After every case: a run that is stopped has said what it knew.
                write(asked, tables, results)
            finally:
                shutil.rmtree(lab.work, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    said = f"{len(tables)} cases measured in {time.monotonic() - began:.0f} s"
    if missing:
        said += f"; not to be had here: {', '.join(missing)}"
    if failed:
        said += f"; FAILED: {', '.join(failed)}"
    print(f"\n{said}")
    if failed:
        return 1
    return 0 if tables else UNAVAILABLE


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="peerd against its peers, in pairs, on loopback.")
    names = ", ".join(CASES)
    parser.add_argument("--only", action="append", default=[], metavar="NAME,..", help=f"these cases: {names}")
    parser.add_argument("--pairs", type=int, metavar="N", help="rounds of each comparison (default: 7; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one round, small files, figures of no meaning")
    parser.add_argument("--peerd", type=Path, metavar="BIN", help="what to measure (default: $PEERD_BIN, else target/release/peerd)")
    parser.add_argument("--build", action="store_true", help="cargo build --release -p peerd first")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where test files go (default: $TMPDIR, else /tmp); some 5 GiB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--programs", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.docs and asked.quick:
        parser.error("the figures of a smoke test do not belong into the documentation")
    asked.only = [name for names in asked.only for name in names.split(",") if name]
    asked.pairs = asked.pairs or (1 if asked.quick else 7)
    return asked


def find_peerd(asked: argparse.Namespace) -> Path | None:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = asked.peerd or Path(os.environ.get("PEERD_BIN") or target / "release" / "peerd")
    if not os.access(found, os.X_OK):
        print(f"{found} is not there: cargo build --release -p peerd, or say --build or --peerd BIN", file=sys.stderr)
        return None
    return found.resolve()


def write(asked: argparse.Namespace, tables: dict[str, str], measured: dict[str, dict[str, object]]) -> None:
    """Puts what was measured so far where it was asked for."""
    if asked.json:
        results = {"machine": machine(), "quick": asked.quick, "pairs": asked.pairs, "cases": measured}
        asked.json.write_text(json.dumps(results, indent=2) + "\n")
    if asked.markdown:
        asked.markdown.write_text("".join(f"## {CASES[name].title}\n\n{table}\n\n" for name, table in tables.items()))
    if asked.docs:
        PAGE.write_text(report.spliced(PAGE.read_text(), tables))


def machine() -> dict[str, object]:
    return {"kernel": platform.release(), "processors": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
