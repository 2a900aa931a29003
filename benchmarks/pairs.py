"""What a comparison is: who runs when, and what may be said of the figures. Pure: no clock, no process, no file.

Neighbours on a shared machine move absolute figures by a factor of two within minutes. So the contenders of a case take turns
(A B, B A, A B, ...), each round gives one ratio, and the median of those ratios with its range is what is kept; the absolute
medians stand beside it to show the order of magnitude.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One figure every run of a comparison tells, and the ratio to the base we aim for (`floor`: what we never go past)."""

    key: str
    label: str
    unit: str
    more_is_better: bool = False
    aim: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Spread:
    """A median with the range it comes from."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of a result: a figure of `subject`, beside that of `base`, or alone where there is nothing to compare with."""

    what: str
    label: str
    unit: str
    subject: str
    value: Spread
    base: str | None = None
    base_value: Spread | None = None
    ratio: Spread | None = None
    more_is_better: bool = False
    aim: float | None = None
    floor: float | None = None
    rounds: int = 0

    def judged(self) -> float:
        """What aim and floor are about: the ratio, or the value where there is none."""
        return (self.ratio or self.value).median

    def verdict(self) -> str:
        """Says how the row stands to its aim, in one word; nothing where nothing was aimed for."""
        if self.aim is None:
            return ""
        if within(self.judged(), self.aim, self.more_is_better):
            return "aim"
        if self.floor is not None and within(self.judged(), self.floor, self.more_is_better):
            return "floor"
        return "missed"

    def as_dict(self) -> dict[str, object]:
        return asdict(self) | {"verdict": self.verdict()}


Run = Mapping[str, float]
Round = Mapping[str, Run]


def order(sides: Sequence[str], rounds: int) -> list[list[str]]:
    """The sides of each round in the order they run: forwards, backwards, forwards, so that no side always goes first."""
    return [list(sides) if number % 2 == 0 else list(reversed(sides)) for number in range(rounds)]


def spread(values: Iterable[float]) -> Spread:
    """The median and range of at least one value."""
    held = sorted(values)
    if not held:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(held), held[0], held[-1])


def ratios(rounds: Sequence[Round], subject: str, base: str, key: str) -> list[float]:
    """One ratio for each round: only runs that were neighbours in time are divided by each other."""
    return [round_[subject][key] / round_[base][key] for round_ in rounds]


def compared(what: str, rounds: Sequence[Round], figures: Sequence[Figure], subject: str, base: str) -> list[Row]:
    """A row for each figure of `subject` against `base`."""
    return [
        Row(
            what=what,
            label=figure.label,
            unit=figure.unit,
            subject=subject,
            value=spread(round_[subject][figure.key] for round_ in rounds),
            base=base,
            base_value=spread(round_[base][figure.key] for round_ in rounds),
            ratio=spread(ratios(rounds, subject, base, figure.key)),
            more_is_better=figure.more_is_better,
            aim=figure.aim,
            floor=figure.floor,
            rounds=len(rounds),
        )
        for figure in figures
    ]


def alone(what: str, figure: Figure, subject: str, values: Sequence[float]) -> Row:
    """A row of a figure that stands for itself: `aim` and `floor` are in its unit."""
    return Row(
        what=what,
        label=figure.label,
        unit=figure.unit,
        subject=subject,
        value=spread(values),
        more_is_better=figure.more_is_better,
        aim=figure.aim,
        floor=figure.floor,
        rounds=len(values),
    )


def within(value: float, bound: float, more_is_better: bool) -> bool:
    """Whether `value` is at least as good as `bound`."""
    return value >= bound if more_is_better else value <= bound


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of them do not exceed."""
    held = sorted(values)
    if not held:
        raise ValueError("nothing was measured")
    return held[max(0, math.ceil(share * len(held)) - 1)]
