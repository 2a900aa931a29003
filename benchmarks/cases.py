"""The register of cases, and the laboratory each of them is handed.

A case is a function in a module of `MODULES`:

    @case("whole-file", "One cached 1 GiB file to one reader", programs={"nginx": "nginx", "curl": "curl"})
    def whole_file(lab: Lab) -> list[Row]:
        ...
        rounds = lab.rounds({"peerd": fetch_from_peerd, "nginx": fetch_from_nginx})
        return pairs.compared("curl -o /dev/null", rounds, [THROUGHPUT, CPU], "peerd", "nginx")

Each side is a function that runs once and returns its figures by key. It checks what it got: the size always, every byte
where that does not disturb (else once, before the rounds), and raises `failures.CaseFailed` when something is wrong. `programs` are the
commands it needs with the Debian packages they come from; `benchmarks/run` installs them. Its table goes into the block of
its name in docs/benchmarks.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pairs
from failures import CaseFailed, NotHere
from pairs import Round, Row, Run
from processes import Strangers

__all__ = ["CASES", "GIB", "KIB", "MIB", "Case", "CaseFailed", "Lab", "NotHere", "case", "load", "select"]

MODULES = ("serving", "memory", "tls", "rust_servers", "fetching", "link", "many_files", "registry")

GIB = 1 << 30
MIB = 1 << 20
KIB = 1 << 10


@dataclass
class Lab:
    """What a case works with: a directory of its own, the program under test, and how thorough to be."""

    work: Path
    peerd: Path
    pairs: int
    quick: bool
    notes: list[str] = field(default_factory=list)
    disturbed: int = 0

    def full_or_quick(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def whole(self) -> int:
        """The size of the one large file: 1 GiB, or 64 MiB in a smoke test."""
        return self.full_or_quick(GIB, 64 * MIB)

    def note(self, text: str) -> None:
        """Something a reader of the table must know; printed below it."""
        if text not in self.notes:
            self.notes.append(text)

    def rounds(self, sides: Mapping[str, Callable[[], Run]], count: int | None = None) -> list[Round]:
        """Runs every side once a round, in alternating order, `count` rounds (else as many as were asked for)."""
        return [
            {name: self.undisturbed(name, sides[name]) for name in names}
            for names in pairs.order(list(sides), self.pairs if count is None else count)
        ]

    def undisturbed(self, name: str, side: Callable[[], Run]) -> Run:
        """One run, again if programs that are not ours took too much of the machine meanwhile."""
        for _ in range(1 if self.quick else TRIES):
            strangers = Strangers()
            figures = side()
            share = strangers.share()
            said = "" if share < DISTURBED else f" (others took {share:.0%} of a processor)"
            print(f"    {name}: {told(figures)}{said}", file=sys.stderr, flush=True)
            if share < DISTURBED:
                return figures
            if not self.quick:
                calm()
        self.disturbed += 1
        return figures


@dataclass(frozen=True)
class Case:
    """A named comparison."""

    name: str
    title: str
    run: Callable[[Lab], Sequence[Row]]
    programs: Mapping[str, str]
    prepare: Callable[[bool], None]


def case(
    name: str,
    title: str,
    programs: Mapping[str, str] | None = None,
    prepare: Callable[[bool], None] = lambda quick: None,
) -> Callable[[Callable[[Lab], Sequence[Row]]], Callable[[Lab], Sequence[Row]]]:
    """Registers the function below it under `name`.

    `prepare` runs before, where there is still a network; it is told whether this is a smoke test.
    """

    def register(function: Callable[[Lab], Sequence[Row]]) -> Callable[[Lab], Sequence[Row]]:
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        CASES[name] = Case(name, title, function, dict(programs or {}), prepare)
        return function

    return register


def load() -> None:
    """Imports every module that is there, so that its cases are known."""
    for module in MODULES:
        if importlib.util.find_spec(module):
            importlib.import_module(module)


def select(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """The cases of `names` that `only` asks for, in the order of `names`: by name, or by the start of it (`ranges`).

    Raises ValueError for a word no case answers to.
    """
    if not only:
        return list(names)
    for word in only:
        if not any(answers(name, word) for name in names):
            raise ValueError(f"no case is called {word}; there are {', '.join(names)}")
    return [name for name in names if any(answers(name, word) for word in only)]


def calm(seconds: float = 5) -> None:
    """Waits until programs that are not ours leave the machine alone for half a second, or that long."""
    for _ in range(int(seconds / 0.5)):
        strangers = Strangers()
        time.sleep(0.5)
        if strangers.share() < DISTURBED:
            return


def answers(name: str, word: str) -> bool:
    return name == word or name.startswith(word + "-")


def told(run: Run) -> str:
    return ", ".join(f"{key} {figure:.4g}" for key, figure in run.items())


# More than this of a processor for others, and a run is done again, so many times in all.
DISTURBED = 0.1
TRIES = 3

CASES: dict[str, Case] = {}
