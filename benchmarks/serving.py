"""Serving over plain HTTP/1: a whole file, ranges, and a file that has to come from the disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from cases import KIB, MIB, Lab, case
from failures import CaseFailed
from load import HERE, by_curl, by_sink, by_wrk, check_bytes
from material import digest, evict, random_file
from pairs import Figure, Row, compared, percentile
from peers import Server, nginx, peerd
from processes import LOAD_CPU, pinned

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


@case("cold-probe", "A hot byte each ms while a 1 GiB file comes from the disk", {"nginx": "nginx"})
def cold_probe(lab: Lab) -> Sequence[Row]:
    lab.note("The large file was dropped from the page cache before each run (checked by mincore). The disk may have a cache too.")
    root = lab.work / "files"
    root.mkdir()
    hot = random_file(root / "hot.bin", MIB)
    cold = random_file(root / "cold.bin", lab.whole())
    figures = [Figure("p50", "probe p50", "ms"), Figure("p99", "probe p99", "ms", aim=1.0, floor=1.5), throughput()]
    rows: list[Row] = []
    with peerd(lab, root) as ours, nginx(lab, root) as theirs:
        for what, dropped in [("from the disk", True), ("from the page cache", False)]:
            digest(cold)
            rounds = lab.rounds({peer.name: partial(probed, peer, hot, cold, dropped) for peer in (ours, theirs)})
            wanted = figures if dropped else [Figure(one.key, one.label, one.unit, one.more_is_better) for one in figures]
            rows += compared(what, rounds, wanted, "peerd", "nginx")
    return rows


def probed(server: Server, hot: Path, cold: Path, dropped: bool) -> dict[str, float]:
    """How long probes of the hot file take while the other one is sent to a receiver that drops it."""
    if dropped:
        evict(cold)
    digest(hot)
    asked = {"port": server.port, "path": server.path(hot.name), "headers": dict(server.headers), "seconds": 60}
    argv = pinned(["python3", HERE / "probe.py", json.dumps(asked)], LOAD_CPU)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        if probe.stdout.readline() != "begun\n":
            raise CaseFailed(f"{server.name} does not answer a probe")
        size = cold.stat().st_size
        moved = by_sink(server, cold.name, size, 1)
        took = json.loads(probe.communicate("\n")[0])
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "gib_s": moved["gib_s"]}


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
