"""Serving over plain HTTP/1: a whole file, ranges, and a file that has to come from the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from cases import KIB, MIB, Lab, case
from load import by_curl, by_sink, by_wrk, check_bytes
from material import digest, random_file
from pairs import Figure, Row, compared
from peers import Server, nginx, peerd

CACHED = "nginx with open_file_cache"


@case("whole-file", "One cached 1 GiB file to one reader", {"nginx": "nginx", "curl": "curl"})
def whole_file(lab: Lab) -> Sequence[Row]:
    with servers(lab) as (file, peers):
        size = file.stat().st_size
        times = lab.full_or_quick(3, 1)
        curl = lab.rounds({peer.name: partial(by_curl, peer, file.name, size, times) for peer in peers})
        sink = lab.rounds({peer.name: partial(by_sink, peer, file.name, size, times) for peer in peers})
    return [
        *compared("curl", curl, [throughput(1.0, 0.97), cpu_per_gib(1.05, 1.25)], "peerd", "nginx"),
        *compared("receiver that drops it", sink, [throughput(0.95, 0.85), cpu_per_gib()], "peerd", "nginx"),
        *compared("curl", curl, [throughput(), cpu_per_gib()], "peerd", CACHED),
        *compared("receiver that drops it", sink, [throughput(), cpu_per_gib()], "peerd", CACHED),
    ]


@case("ranges-64k", "64 KiB at random offsets over 64 connections", {"nginx": "nginx", "wrk": "wrk"})
def ranges_64k(lab: Lab) -> Sequence[Row]:
    return ranges(lab, "64 KiB ranges", 64 * KIB, (1.0, 0.95), (1.0, 1.15))


@case("ranges-1m", "1 MiB at random offsets over 64 connections", {"nginx": "nginx", "wrk": "wrk"})
def ranges_1m(lab: Lab) -> Sequence[Row]:
    return ranges(lab, "1 MiB ranges", MIB, (1.0, 0.97), None)


@case("ranges-1b", "1 byte at random offsets over 64 connections", {"nginx": "nginx", "wrk": "wrk"})
def ranges_1b(lab: Lab) -> Sequence[Row]:
    return ranges(lab, "1-byte ranges", 1, (1.0, 0.85), None)


def ranges(
    lab: Lab, what: str, length: int, rate: tuple[float, float], cpu: tuple[float, float] | None
) -> Sequence[Row]:
    seconds = lab.full_or_quick(2, 1)
    with servers(lab) as (file, peers):
        size = file.stat().st_size
        rounds = lab.rounds({peer.name: partial(by_wrk, lab, peer, file.name, size, length, seconds) for peer in peers})
    return [
        *compared(what, rounds, [requests(*rate), cpu_per_request(*(cpu or ()))], "peerd", "nginx"),
        *compared(what, rounds, [requests(), cpu_per_request()], "peerd", CACHED),
    ]


@contextmanager
def servers(lab: Lab) -> Iterator[tuple[Path, list[Server]]]:
    """peerd, nginx, and nginx with its cache of open files, all offering the same file, whose bytes each has proved to send."""
    root = lab.work / "files"
    root.mkdir()
    file = random_file(root / "large.bin", lab.whole())
    expected = digest(file)
    with ExitStack() as running:
        peers = [
            running.enter_context(peerd(lab, root)),
            running.enter_context(nginx(lab, root)),
            running.enter_context(nginx(lab, root, open_file_cache=True)),
        ]
        for peer in peers:
            check_bytes(peer, file, expected)
        yield file, peers


def throughput(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("gib_s", "throughput", "GiB/s", True, aim, floor)


def cpu_per_gib(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("cpu_gib", "server CPU", "s/GiB", False, aim, floor)


def requests(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("rate", "requests", "/s", True, aim, floor)


def cpu_per_request(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("cpu_request", "server CPU", "µs/request", False, aim, floor)
