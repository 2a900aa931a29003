"""`peerd get` of one large file from nginx to the disk, beside curl and aria2c.

peerd ends when the file and its name are on the disk; aria2c syncs too; curl leaves the file to the page cache, and is what
one pays for no durability at all. Client and server share all processors. Before every run the file of the last one is
removed and the disk has written everything.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cases import MIB, Lab, case
from failures import CaseFailed
from material import digest, random_file
from pairs import Figure, Round, Row, alone, compared
from peers import Server, nginx
from processes import Finished, Process, run

# With 16 connections of this each, the line is never the limit and every one of them is worth having.
CONNECTION_RATE = "12m"


@case("get", "1 GiB to the disk: peerd get, durable, beside curl, undurable", {"nginx": "nginx", "curl": "curl"})
def get(lab: Lab) -> Sequence[Row]:
    with offered(lab) as (file, server):
        sides = {"peerd": partial(by_peerd, lab, server, file), "curl": partial(by_curl, lab, server, file)}
        proved(lab, sides, file)
        figures = [wall(0.90, 1.00), cpu(1.05, 1.20)]
        return compared("peerd get / curl -o", lab.rounds(sides), figures, "peerd", "curl")


@case("get-blake3", "The same with the BLAKE3 of everything compared", {"nginx": "nginx", "curl": "curl"})
def get_blake3(lab: Lab) -> Sequence[Row]:
    with offered(lab) as (file, server):
        blake3 = f"--blake3={blake3_of(lab, server, file)}"
        sides = {"peerd": partial(by_peerd, lab, server, file, blake3), "curl": partial(by_curl, lab, server, file)}
        proved(lab, sides, file)
        figures = [wall(0.95, 1.10), cpu()]
        return compared("peerd get --blake3 / curl -o", lab.rounds(sides), figures, "peerd", "curl")


@case("get-aria2", "The same beside aria2c", {"nginx": "nginx", "aria2c": "aria2"})
def get_aria2(lab: Lab) -> Sequence[Row]:
    with offered(lab) as (file, server):
        theirs = {f"aria2c -x{count}": partial(by_aria2, lab, server, file, count) for count in (1, 16)}
        sides = {"peerd": partial(by_peerd, lab, server, file), **theirs}
        proved(lab, sides, file)
        rounds = lab.rounds(sides)
        best = [better(round_, list(theirs)) for round_ in rounds]
        return [
            *compared("peerd get / the better of -x1 and -x16", best, [wall(0.40, 0.55), cpu()], "peerd", "aria2c"),
            *(row for name in theirs for row in compared(f"peerd get / {name}", rounds, [wall(), cpu()], "peerd", name)),
        ]


@case("get-memory", "What peerd get holds, over 16 connections", {"nginx": "nginx"})
def get_memory(lab: Lab) -> Sequence[Row]:
    with offered(lab, extra=f"limit_rate {CONNECTION_RATE};") as (file, server):
        sides = {"peerd": partial(over_many, lab, server, file)}
        rounds = lab.rounds(sides, min(lab.pairs, 3))
    most = max(int(round_["peerd"]["connections"]) for round_ in rounds)
    lab.note(f"nginx sends {CONNECTION_RATE[:-1]} MiB/s over a connection, so that more are worth having; up to {most} were open at once.")
    lab.note("The peak of the whole process (VmHWM), the pages of the program itself included.")
    peak = Figure("peak", "peak memory", "MiB", aim=32, floor=48)
    return alone_of("peerd get --connections 16", peak, rounds)


def by_peerd(lab: Lab, server: Server, file: Path, *more: str) -> dict[str, float]:
    target = cleared(lab)
    return figures(run([lab.peerd, "get", "--quiet", *more, "-o", target, server.url(file.name)]), target, file)


def by_curl(lab: Lab, server: Server, file: Path) -> dict[str, float]:
    target = cleared(lab)
    return figures(run(["curl", "-sf", "-o", target, server.url(file.name)]), target, file)


def by_aria2(lab: Lab, server: Server, file: Path, connections: int) -> dict[str, float]:
    target = cleared(lab)
    words = ["-q", f"-x{connections}", f"-s{connections}", "-k1M", "-d", target.parent, "-o", target.name]
    return figures(run(["aria2c", "--no-conf", *words, server.url(file.name)]), target, file)


def over_many(lab: Lab, server: Server, file: Path) -> dict[str, float]:
    target, log = cleared(lab), lab.work / "events"
    log.unlink(missing_ok=True)
    peak = 0
    # What a child is told to have held at most includes what we held when we made it: it has to be asked itself.
    with Process([lab.peerd, "get", "--json", "--connections", "16", "-o", target, server.url(file.name)], log) as client:
        while client.popen.poll() is None:
            peak = max(peak, client.peak_bytes())
            time.sleep(0.02)
        if client.popen.returncode != 0:
            raise CaseFailed(f"peerd get ended with {client.popen.returncode}: {client.last_words()}")
    heard = [json.loads(line) for line in log.read_text().splitlines()]
    check(target, file)
    return {"peak": peak / MIB, "connections": max(event.get("connections", 0) for event in heard)}


def figures(done: Finished, target: Path, file: Path) -> dict[str, float]:
    check(target, file)
    return {"wall": done.wall, "cpu": done.cpu}


def check(target: Path, file: Path) -> None:
    if (got := target.stat().st_size) != (size := file.stat().st_size):
        raise CaseFailed(f"{target.name} has {got} of {size} bytes")


def cleared(lab: Lab) -> Path:
    """Where the next file goes: nothing is there, and nothing waits for the disk."""
    target = lab.work / "target"
    target.unlink(missing_ok=True)
    os.sync()
    return target


def proved(lab: Lab, sides: dict[str, partial[dict[str, float]]], file: Path) -> None:
    """One run of each side before the rounds, of which every byte is compared."""
    expected = digest(file)
    for name, side in sides.items():
        side()
        if digest(lab.work / "target") != expected:
            raise CaseFailed(f"{name} wrote other bytes than {file.name} has")


def blake3_of(lab: Lab, server: Server, file: Path) -> str:
    """The digest of a file, as peerd tells it when it was promised another one."""
    target = cleared(lab)
    words = ["get", "--json", "--blake3", "0" * 64, "-o", target, server.url(file.name)]
    said = run([lab.peerd, *words], codes=range(256)).output
    found = set(re.findall(r"\b[0-9a-f]{64}\b", said)) - {"0" * 64}
    for left in lab.work.glob("target*"):
        left.unlink()
    if len(found) != 1:
        raise CaseFailed(f"peerd get of another digest says {said[-300:]!r}")
    return found.pop()


def better(round_: Round, names: Sequence[str]) -> Round:
    """The round with the one of `names` that was faster, as `aria2c`."""
    return {**round_, "aria2c": min((round_[name] for name in names), key=lambda run_: run_["wall"])}


def alone_of(what: str, figure: Figure, rounds: Sequence[Round]) -> list[Row]:
    return [alone(what, figure, "peerd", [round_["peerd"][figure.key] for round_ in rounds])]


@contextmanager
def offered(lab: Lab, extra: str = "") -> Iterator[tuple[Path, Server]]:
    """A large file in the page cache that nginx offers; nobody is bound to a processor."""
    root = lab.work / "files"
    root.mkdir()
    file = random_file(root / "large.bin", lab.whole())
    digest(file)
    with nginx(lab, root, cpu=None, extra=extra) as server:
        yield file, server


def wall(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("wall", "wall time", "s", False, aim, floor)


def cpu(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("cpu", "client CPU", "s", False, aim, floor)

