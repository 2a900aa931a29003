"""The file servers written in Rust, built once from the Rust package registry in the versions named here.

The builds take minutes; they are kept in $BENCH_TOOLS (else ~/.cache/peerd-bench), and only made where installing is asked for
(PEERD_INSTALL=1, or CI) and not in a smoke test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from cases import Lab, case
from failures import NotHere
from load import by_curl, by_sink, check_bytes
from material import digest, random_file
from pairs import Figure, Row, compared
from peers import HOST, Server, free_port, listening, peerd
from processes import SERVER_CPU, Process

# Name, version and features on the command line of `cargo install`, and how each is started: one thread, no log of requests.
VERSIONS = {"static-web-server": "2.44.0", "miniserve": "0.35.0", "dufs": "0.47.0"}
ROUNDS = 5


def arguments(name: str, root: Path, port: int) -> list[str | Path]:
    match name:
        case "static-web-server":
            bare = ["--compression", "false", "--threads-multiplier", "1", "--log-level", "error"]
            return ["--host", HOST, "--port", str(port), "--root", root, *bare]
        case "miniserve":
            return ["--interfaces", HOST, "--port", str(port), root]
        case "dufs":
            return ["--bind", HOST, "--port", str(port), "--log-format", "", root]
        case _:
            raise ValueError(name)


def prepare(quick: bool) -> None:
    """Builds what is not there yet, where that is wanted; runs before the network is left behind."""
    wanted = os.environ.get("PEERD_INSTALL") or os.environ.get("CI")
    for name, version in VERSIONS.items():
        if quick or not wanted or binary(name).exists():
            continue
        print(f"building {name} {version}", file=sys.stderr)
        # What cannot be had is reported by the case.
        subprocess.run(
            ["cargo", "install", "--locked", "--quiet", "--root", home(name), "--version", version, name], check=False
        )


def home(name: str) -> Path:
    cache = os.environ.get("BENCH_TOOLS") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peerd-bench"
    return Path(cache) / f"{name}-{VERSIONS[name]}"


def binary(name: str) -> Path:
    return home(name) / "bin" / name


@case("rust-servers", "One cached 1 GiB file, from file servers written in Rust", {"curl": "curl"}, prepare=prepare)
def rust_servers(lab: Lab) -> Sequence[Row]:
    here = [name for name in VERSIONS if binary(name).exists()]
    if not here:
        raise NotHere("static-web-server, miniserve and dufs are not built; PEERD_INSTALL=1 does that")
    for name in VERSIONS.keys() - here:
        lab.note(f"{name} could not be built here.")
    root = lab.work / "files"
    root.mkdir()
    file = random_file(root / "large.bin", lab.whole())
    expected = digest(file)
    size = file.stat().st_size
    with ExitStack() as running:
        peers = [running.enter_context(peerd(lab, root))]
        peers += [running.enter_context(started(lab, name, root)) for name in here]
        for peer in peers:
            check_bytes(peer, file, expected)
        count = min(ROUNDS, lab.pairs)
        curl = lab.rounds({peer.name: partial(by_curl, peer, file.name, size, 1) for peer in peers}, count)
        sink = lab.rounds({peer.name: partial(by_sink, peer, file.name, size, 1) for peer in peers}, count)
    rows: list[Row] = []
    for peer in peers[1:]:
        throughput = Figure("gib_s", "throughput", "GiB/s", True, aim=1.8)
        cpu = Figure("cpu_gib", "server CPU", "s/GiB", aim=0.2)
        rows += compared("curl", curl, [throughput, cpu], "peerd", peer.name)
        rows += compared("receiver that drops it", sink, [Figure("gib_s", "throughput", "GiB/s", True, aim=4)], "peerd", peer.name)
    return rows


@contextmanager
def started(lab: Lab, name: str, root: Path) -> Iterator[Server]:
    port = free_port()
    argv = [binary(name), *arguments(name, root, port)]
    with Process(argv, lab.work / f"{name}.log", SERVER_CPU) as process:
        process.await_that(name, lambda: listening(port))
        shown = f"{name} {VERSIONS[name]}"
        yield Server(shown, process, port, {file.name: f"/{file.name}" for file in root.iterdir()})
