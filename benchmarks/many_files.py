"""A queue of many small files: the daemon with its registry, beside aria2c with a list.

The rows are in the registry before the clock starts, as the list is in its file; from the start of the program to the last
file under its name. peerd records every step of every file and syncs it; aria2c does neither.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cases import MIB, Lab, case
from failures import CaseFailed
from material import digest, random_file
from pairs import Figure, Round, Row, compared
from peers import HOST, Server, free_port, listening, nginx
from processes import Process, run

FILES = 1000
# Transfers at once that are tried; each side is judged by its best.
AT_ONCE = (4, 8, 16)


@case("many-files", "1,000 files of 1 MiB, queued", {"nginx": "nginx", "aria2c": "aria2"})
def many_files(lab: Lab) -> Sequence[Row]:
    root = lab.work / "files"
    root.mkdir()
    count = lab.full_or_quick(FILES, 50)
    for number in range(count):
        random_file(root / f"{number:04}.bin", MIB)
    expected = {file.name: digest(file) for file in root.iterdir()}
    with nginx(lab, root, cpu=None) as server:
        queued = Queued(lab, server, sorted(expected))
        listed = Listed(lab, server, sorted(expected))
        ours = chosen(queued.fetch)
        theirs = chosen(listed.fetch)
        for side, at_once, done in (("peerd", ours, queued.done), ("aria2c", theirs, listed.done)):
            lab.note(f"{side}: {at_once} at once, the best of {', '.join(map(str, AT_ONCE))} in one run each.")
            wrong = [name for name, sum_ in expected.items() if digest(done / name) != sum_]
            if wrong:
                raise CaseFailed(f"{side} wrote other bytes than {wrong[0]} has, and {len(wrong) - 1} more")
        rounds = lab.rounds({"peerd": partial(queued.fetch, ours), "aria2c": partial(listed.fetch, theirs)})
    rate = Figure("rate", "files", "/s", True, aim=1.2, floor=1.0)
    return compared(f"{count} files of 1 MiB", rounds, [rate, Figure("cpu", "client CPU", "s")], "peerd", "aria2c")


def chosen(fetch: Callable[[int], Mapping[str, float]]) -> int:
    """The number of transfers at once with which one run was fastest."""
    rates = {at_once: fetch(at_once)["rate"] for at_once in AT_ONCE}
    return max(rates, key=rates.__getitem__)


class Queued:
    """The files as rows of a daemon that has not begun."""

    def __init__(self, lab: Lab, server: Server, names: Sequence[str]) -> None:
        self.lab, self.names = lab, names
        self.home = lab.work / "daemon"
        self.full = lab.work / "queued"
        self.done = self.home / "state" / "completed"
        self.home.mkdir()
        with self.daemon(enabled=False, at_once=1) as (_, admin):
            one = http.client.HTTPConnection(HOST, admin, timeout=60)
            for name in names:
                one.request("POST", "/api/v1/downloads", json.dumps({"url": server.url(name)}), JSON)
                answer = one.getresponse()
                said = answer.read()
                if answer.status != 201:
                    raise CaseFailed(f"the daemon answers {answer.status}: {said[:300]!r}")
            one.close()
        self.home.rename(self.full)

    def fetch(self, at_once: int) -> dict[str, float]:
        """A daemon on a copy of the queue, until it is empty."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.full, self.home)
        os.sync()
        began = time.monotonic()
        with self.daemon(enabled=True, at_once=at_once) as (process, admin):
            process.await_that("end of the queue", lambda: self.is_empty(admin), 300)
            took = time.monotonic() - began
            cpu = process.cpu_seconds()
        if sorted(file.name for file in self.done.iterdir()) != list(self.names):
            raise CaseFailed("not every file is there")
        return {"rate": len(self.names) / took, "cpu": cpu}

    def is_empty(self, admin: int) -> bool:
        """Whether every file has its name, and then whether the daemon says that every row is over."""
        if not self.done.is_dir() or sum(1 for _ in self.done.iterdir()) < len(self.names):
            return False
        one = http.client.HTTPConnection(HOST, admin, timeout=60)
        one.request("GET", "/api/v1/downloads?state=queued,downloading,waiting,finalizing&limit=1")
        answer = one.getresponse()
        page = json.loads(answer.read())
        one.close()
        if answer.status != 200:
            raise CaseFailed(f"the list of downloads answers {answer.status}: {page}")
        return not page["downloads"]

    @contextmanager
    def daemon(self, enabled: bool, at_once: int) -> Iterator[tuple[Process, int]]:
        port, admin = free_port(), free_port()
        config = self.home / "peerd.toml"
        config.touch(mode=0o600)
        config.write_text(f"""
[server]
listen = ["{HOST}:{port}"]
[admin]
listen = ["{HOST}:{admin}"]
require_key = false
[downloads]
enabled = {str(enabled).lower()}
max_concurrent = {at_once}
min_free = "0"
""")
        argv = [self.lab.peerd, "serve", "--config", config, "--state-dir", self.home / "state"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home)}
        with Process(argv, self.home / "log", None, environment) as process:
            process.await_that("peerd", lambda: listening(admin))
            yield process, admin


class Listed:
    """The files as a list of aria2c."""

    def __init__(self, lab: Lab, server: Server, names: Sequence[str]) -> None:
        self.done, self.names = lab.work / "listed", names
        self.list = lab.work / "list"
        self.list.write_text("".join(f"{server.url(name)}\n" for name in names))

    def fetch(self, at_once: int) -> dict[str, float]:
        shutil.rmtree(self.done, ignore_errors=True)
        os.sync()
        done = run(["aria2c", "--no-conf", "-q", "-i", self.list, "-j", str(at_once), "-d", self.done])
        if sorted(file.name for file in self.done.iterdir()) != list(self.names):
            raise CaseFailed("not every file is there")
        return {"rate": len(self.names) / done.wall, "cpu": done.cpu}


JSON = {"Content-Type": "application/json"}
