"""A long line between two namespaces: 50 ms of round trip at 200 Mbit/s, with and without losses, and a download that is
killed half-way. The line is emulator.py; the server is on one side of it, whoever downloads on the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cases import MIB, Lab, case
from failures import CaseFailed
from material import digest, random_file
from pairs import Figure, Round, Row, Run, compared
from peers import Server, nginx
from processes import Process, run

RATE = 200e6
ONE_WAY = 0.025
LOSS = 0.001
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"

LINK_PROGRAMS = {"nginx": "nginx", "ip": "iproute2", "nsenter": "util-linux", "curl": "curl"}


@case("link-loss", "A line that loses one packet in a thousand", LINK_PROGRAMS | {"aria2c": "aria2"})
def link_loss(lab: Lab) -> Sequence[Row]:
    with line(lab, lab.full_or_quick(24, 8) * MIB) as there:
        sides = {
            "peerd get --connections 16": partial(fetch, there, peerd_get(there, 16), LOSS),
            "peerd get": partial(fetch, there, peerd_get(there), LOSS),
            "aria2c -x16": partial(fetch, there, aria2(there), LOSS),
        }
        rounds = in_turn(lab, sides)
    what = f"{there.file.stat().st_size // MIB} MiB, {LOSS:.1%} lost"
    return [
        *compared(what, rounds, [wall(0.85, 1.0), CARRIED], "peerd get --connections 16", "aria2c -x16"),
        *compared(what, rounds, [wall(), CARRIED], "peerd get", "aria2c -x16"),
    ]


@case("link-clean", "The same line without losses", LINK_PROGRAMS)
def link_clean(lab: Lab) -> Sequence[Row]:
    with line(lab, lab.full_or_quick(100, 8) * MIB) as there:
        sides = {
            "peerd get": partial(fetch, there, peerd_get(there), 0.0),
            "peerd get --connections 16": partial(fetch, there, peerd_get(there, 16), 0.0),
            "curl": partial(fetch, there, curl(there), 0.0),
        }
        rounds = in_turn(lab, sides)
    what = f"{there.file.stat().st_size // MIB} MiB, nothing lost"
    return [
        *compared(what, rounds, [wall(1.01, 1.03), CARRIED], "peerd get", "curl"),
        *compared(what, rounds, [wall(), CARRIED], "peerd get --connections 16", "curl"),
    ]


@case("link-resume", "Killed half-way on that line, and started again", LINK_PROGRAMS)
def link_resume(lab: Lab) -> Sequence[Row]:
    with line(lab, lab.full_or_quick(100, 16) * MIB) as there:
        sides = {
            "peerd get": partial(interrupted, there, peerd_get(there)),
            "curl -C -": partial(interrupted, there, curl(there)),
        }
        rounds = in_turn(lab, sides)
    what = f"{there.file.stat().st_size // MIB} MiB, SIGKILL at half of the time"
    figures = [
        Figure("overhead", "time it takes longer", "%", aim=1.0),
        Figure("wall", "wall, both runs", "s", aim=1.0),
        Figure("twice", "carried twice", "MiB"),
    ]
    return compared(what, rounds, figures, "peerd get", "curl -C -")


@dataclass
class Line:
    """Two namespaces, a server in ours, and the way to the other one."""

    lab: Lab
    server: Server
    file: Path
    digest: str
    far: int
    out: Path
    # What an undisturbed download took, by command.
    whole: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{SERVER}:{self.server.port}{self.server.path(self.file.name)}"

    @property
    def target(self) -> Path:
        return self.out / self.file.name

    def over_there(self, words: Sequence[str | Path]) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.far}/ns/net", *map(str, words)]

    def clear(self) -> None:
        for left in self.out.iterdir():
            left.unlink()

    def check(self) -> None:
        if not self.target.is_file() or digest(self.target) != self.digest:
            raise CaseFailed(f"{self.target.name} is not what the server has")


@contextmanager
def line(lab: Lab, size: int) -> Iterator[Line]:
    root, out = lab.work / "files", lab.work / "out"
    root.mkdir()
    out.mkdir()
    file = random_file(root / "file.bin", size)
    with (
        nginx(lab, root, cpu=None, host="0.0.0.0") as server,
        Process(["unshare", "--net", "sleep", "infinity"], lab.work / "far.log") as far,
    ):
        ours = os.readlink("/proc/self/ns/net")
        far.await_that("other namespace", lambda: os.readlink(f"/proc/{far.pid}/ns/net") != ours)
        yield Line(lab, server, file, digest(file), far.pid, out)


@contextmanager
def emulated(there: Line, loss: float, seed: int, carried: dict[str, float]) -> Iterator[None]:
    """The line, for as long as the block runs; what it carried towards the client is put into `carried`."""
    emulator = Path(__file__).with_name("emulator.py")
    # Packets are not to wait for a processor: that would be the jitter of another line.
    argv = ["nice", "-n", "-10", sys.executable, emulator, "--near", "near0", "--far", "far0", "--far-pid", there.far]
    argv += ["--delay", ONE_WAY, "--rate", RATE, "--loss", loss, "--seed", seed]
    program = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True)
    try:
        if program.stdout.readline() != "ready\n":
            raise CaseFailed("the line cannot be set up: /dev/net/tun is needed")
        address([], "near0", SERVER, CLIENT)
        address(there.over_there([]), "far0", CLIENT, SERVER)
        yield
    finally:
        program.send_signal(signal.SIGTERM)
        words = program.communicate()[0]
    told = json.loads(words)
    carried["carried"] = told["to_far"]["payload_bytes"] / MIB


def address(prefix: Sequence[str], device: str, ours: str, theirs: str) -> None:
    for words in (
        f"ip address add {ours}/32 dev {device}",
        f"ip link set {device} mtu 1500 up",
        f"ip route add {theirs} dev {device} congctl cubic",
    ):
        run([*prefix, *words.split()], errors=None)
    # What earlier connections learned of the path would make the first of a pair another one than the second.
    run([*prefix, "ip", "tcp_metrics", "flush", "all"])


def fetch(there: Line, command: Sequence[str | Path], loss: float, seed: int) -> Run:
    """One download over a line with the losses of `seed`."""
    there.clear()
    carried: dict[str, float] = {}
    with emulated(there, loss, seed, carried):
        done = run(there.over_there(command), cpu=None)
    there.check()
    return {"wall": done.wall, "cpu": done.cpu, **carried}


def interrupted(there: Line, command: Sequence[str | Path], seed: int) -> Run:
    """One download that is killed at half of the time that one without mishap takes, and started again."""
    whole = fetch(there, command, 0.0, seed)
    there.clear()
    carried: dict[str, float] = {}
    with emulated(there, 0.0, seed, carried):
        began = time.monotonic()
        program = subprocess.Popen(there.over_there(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            program.wait(whole["wall"] / 2)
        except subprocess.TimeoutExpired:
            # nsenter has become the program itself.
            program.kill()
            program.wait()
        else:
            raise CaseFailed(f"{command[0]} had come to its end before it was killed")
        first = time.monotonic() - began
        again = run(there.over_there(command), cpu=None)
    there.check()
    wall = first + again.wall
    return {
        "wall": wall,
        "overhead": (wall / whole["wall"] - 1) * 100,
        "twice": max(0.0, carried["carried"] - whole["carried"]),
    }


def peerd_get(there: Line, connections: int | None = None) -> list[str | Path]:
    more = [] if connections is None else ["--connections", str(connections)]
    return [there.lab.peerd, "get", "--quiet", "--output", there.target, *more, there.url]


def curl(there: Line) -> list[str | Path]:
    return ["curl", "--silent", "--continue-at", "-", "--output", there.target, there.url]


def aria2(there: Line) -> list[str | Path]:
    return ["aria2c", "-q", "-x16", "-s16", "-k1M", "-d", there.out, "-o", there.target.name, there.url]


def in_turn(lab: Lab, sides: Mapping[str, Callable[[int], Run]]) -> list[Round]:
    """Runs the sides in alternating order; all of a round meet the same losses."""
    rounds: list[Round] = []
    for seed in range(1, lab.pairs + 1):
        order = sides if seed % 2 else dict(reversed(sides.items()))
        rounds += lab.rounds({name: partial(side, seed) for name, side in order.items()}, 1)
    return rounds


def wall(aim: float | None = None, floor: float | None = None) -> Figure:
    return Figure("wall", "wall", "s", False, aim, floor)


CARRIED = Figure("carried", "carried by the line", "MiB")
