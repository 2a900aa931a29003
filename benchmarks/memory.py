"""Memory: what a server holds at its start, for connections that are merely open, and for readers that are slow.

Only anonymous memory counts (heap and stacks). A slow reader takes 160 KiB/s of the large file, a film at 1.3 Mbit/s.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cases import KIB, MIB, Lab, case
from failures import CaseFailed
from material import digest, random_file
from pairs import Figure, Round, Row, alone, compared
from peers import HOST, Server, nginx, peerd

IDLE = 1000
SLOW = 200
SLOW_RATE = 160 * KIB
# How long the slow readers read; the most that is held in that time counts.
SECONDS = 6
# A slow reader takes what is due this often.
STEP = 0.1

START = Figure("start", "anonymous memory", "MiB", aim=12, floor=20)
ADDED_BY_IDLE = Figure("idle", "anonymous memory added", "MiB", aim=12, floor=15)
ADDED_BY_SLOW = Figure("slow", "anonymous memory added", "MiB", aim=4, floor=8)
CPU = Figure("cpu", "server CPU for them", "s")


@case("memory", "Memory: at the start, idle connections, slow readers", {"nginx": "nginx"})
def memory(lab: Lab) -> Sequence[Row]:
    root = lab.work / "files"
    root.mkdir()
    file = random_file(root / "large.bin", lab.whole())
    digest(file)
    idle, slow = lab.full_or_quick(IDLE, 50), lab.full_or_quick(SLOW, 10)
    sides = {
        "peerd": partial(held, lambda: peerd(lab, root), file.name, idle, slow),
        "nginx": partial(held, lambda: nginx(lab, root), file.name, idle, slow),
    }
    # A server is started for each round; what it holds hardly varies.
    rounds = lab.rounds(sides, min(lab.pairs, 3))
    return [
        *both("at the start", rounds, START),
        *both(f"+ {idle} idle connections", rounds, ADDED_BY_IDLE),
        *both(f"+ {slow} slow readers", rounds, ADDED_BY_SLOW),
        *compared(f"{slow} slow readers, {SECONDS} s", rounds, [CPU], "peerd", "nginx"),
    ]


def both(what: str, rounds: Sequence[Round], figure: Figure) -> list[Row]:
    """Ours against its aim, and nginx's beside it: a ratio of two small figures would say little."""
    theirs = Figure(figure.key, figure.label, figure.unit)
    return [
        alone(what, figure, "peerd", [round_["peerd"][figure.key] for round_ in rounds]),
        alone(what, theirs, "nginx", [round_["nginx"][figure.key] for round_ in rounds]),
    ]


def held(start: partial[contextlib.AbstractContextManager[Server]], name: str, idle: int, slow: int) -> dict[str, float]:
    with start() as server:
        time.sleep(1)
        at_start = server.process.anonymous_bytes()
        with idle_connections(server, name, idle):
            with_idle = settled(server)
            before = server.process.cpu_seconds()
            most = read_slowly(server, name, slow)
            cpu = server.process.cpu_seconds() - before
    return {
        "start": at_start / MIB,
        "idle": (with_idle - at_start) / MIB,
        "slow": (most - with_idle) / MIB,
        "cpu": cpu,
    }


@contextmanager
def idle_connections(server: Server, name: str, count: int) -> Iterator[None]:
    """Connections that fetched one byte each, and stay."""
    with contextlib.ExitStack() as open_ones:
        for number in range(count):
            one = open_ones.enter_context(socket.create_connection((HOST, server.port), timeout=10))
            one.sendall(request(server, name, f"Range: bytes={number}-{number}"))
            answer = one.recv(4096)
            if not answer.startswith(b"HTTP/1.1 206"):
                raise CaseFailed(f"{server.name} answers connection {number} with {answer[:80]!r}")
        yield


def settled(server: Server) -> int:
    """What the server holds once that stands still."""
    held_now = server.process.anonymous_bytes()
    for _ in range(20):
        time.sleep(0.25)
        before, held_now = held_now, server.process.anonymous_bytes()
        if held_now == before:
            break
    return held_now


def read_slowly(server: Server, name: str, count: int) -> int:
    """Reads the file over `count` connections at SLOW_RATE each, and returns the most the server held meanwhile."""
    readers: dict[socket.socket, int] = {}
    with contextlib.ExitStack() as open_ones, selectors.DefaultSelector() as ready:
        for _ in range(count):
            one = open_ones.enter_context(socket.create_connection((HOST, server.port), timeout=10))
            one.sendall(request(server, name))
            one.setblocking(False)
            ready.register(one, selectors.EVENT_READ)
            readers[one] = 0
        most = 0
        began = time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS:
            due = int(passed * SLOW_RATE)
            for key, _ in ready.select(0):
                take(key.fileobj, readers, due)
            most = max(most, server.process.anonymous_bytes())
            time.sleep(STEP)
    least = min(readers.values())
    if least < SECONDS * SLOW_RATE * 0.8:
        raise CaseFailed(f"{server.name} sent a slow reader {least} bytes in {SECONDS} s")
    return most


def take(reader: socket.socket, readers: dict[socket.socket, int], due: int) -> None:
    while (wanted := due - readers[reader]) > 0:
        try:
            got = len(reader.recv(wanted))
        except BlockingIOError:
            return
        if got == 0:
            raise CaseFailed("a slow reader was sent away")
        readers[reader] += got


def request(server: Server, name: str, *more: str) -> bytes:
    lines = [f"GET {server.path(name)} HTTP/1.1", f"Host: {HOST}:{server.port}"]
    lines += [f"{field}: {value}" for field, value in server.headers.items()]
    return "\r\n".join([*lines, *more, "", ""]).encode()
