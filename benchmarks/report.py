"""Rows as Markdown, for people and for docs/benchmarks.md. Pure.

The page holds one block for each case; a run replaces the blocks of the cases it measured and leaves the others alone:

    <!-- results: begin whole-file -->
    ...
    <!-- results: end -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pairs import Row, Spread


def table(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """The rows of one case as a Markdown table, its notes below."""
    lines = [
        "| what | figure | measured | compared with | ratio (range) | aim (floor) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [line(row) for row in rows]
    for note in notes:
        lines += ["", note]
    return "\n".join(lines)


def line(row: Row) -> str:
    measured = f"{row.subject}: {value(row.value, row.unit, ranged=row.ratio is None)}"
    base = f"{row.base}: {value(row.base_value, row.unit)}" if row.base_value else ""
    ratio = f"{number(row.ratio.median)} ({number(row.ratio.low)}..{number(row.ratio.high)})" if row.ratio else ""
    return f"| {row.what} | {row.label} | {measured} | {base} | {ratio} | {wanted(row)} |"


def wanted(row: Row) -> str:
    """The aim and the floor with the side they bound."""
    if row.aim is None:
        return ""
    sign = "≥" if row.more_is_better else "≤"
    unit = "" if row.ratio else f" {row.unit}"
    floor = "" if row.floor is None else f" ({number(row.floor)})"
    return f"{sign} {number(row.aim)}{unit}{floor}: {row.verdict()}"


def value(spread: Spread, unit: str, ranged: bool = False) -> str:
    span = f" ({number(spread.low)}..{number(spread.high)})" if ranged and spread.low != spread.high else ""
    return f"{number(spread.median)} {unit}{span}"


def number(figure: float) -> str:
    """Three digits that mean something, thousands apart."""
    if figure != 0 and abs(figure) < 0.0995:
        return f"{figure:.3g}"
    if abs(figure) < 10:
        return f"{figure:.2f}"
    if abs(figure) < 100:
        return f"{figure:.1f}"
    return f"{figure:,.0f}".replace(",", " ")


def spliced(page: str, tables: Mapping[str, str]) -> str:
    """`page` with the blocks of these cases replaced.

    Raises KeyError naming the cases the page has no block for.
    """
    missing = [name for name in tables if begin(name) not in page]
    if missing:
        raise KeyError(f"no block '{begin(missing[0])}' in the page")

    def replace(block: re.Match[str]) -> str:
        name = block["name"]
        return f"{begin(name)}\n\n{tables[name]}\n\n{END}" if name in tables else block[0]

    return BLOCK.sub(replace, page)


def begin(name: str) -> str:
    return f"<!-- results: begin {name} -->"


END = "<!-- results: end -->"
BLOCK = re.compile(r"<!-- results: begin (?P<name>[a-z0-9-]+) -->.*?<!-- results: end -->", re.DOTALL)
