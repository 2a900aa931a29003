"""Programs we start and end by their id, and what they cost: CPU of a process tree, anonymous memory.

CPU comes from each process's own clock, which counts nanoseconds of all its threads, those that are gone included; the ticks
in /proc/PID/stat are 10 ms, a fifth of what a whole GiB costs a good server.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from failures import CaseFailed

# Server and load each have a processor of their own, so that CPU per byte and rates are those of one thread.
SERVER_CPU = 0
LOAD_CPU = 1

# The parent of every kernel thread.
KERNEL = 2
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A running program with its log; leaving the `with` block ends it."""

    def __init__(self, argv: Sequence[str | Path], log: Path, cpu: int | None = None, env: Mapping[str, str] | None = None):
        self.argv = pinned(argv, cpu)
        self.log = log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def end(self) -> None:
        """Asks it to stop, and after ten seconds does not ask any more."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL to the program and whatever it started."""
        for pid in reversed(tree(self.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.popen.wait()

    def await_that(self, what: str, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until `holds`; raises CaseFailed with the end of the log when the program is gone or time is up."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self.popen.poll() is not None:
                raise CaseFailed(f"{self.argv[0]} ended with {self.popen.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise CaseFailed(f"no {what} after {seconds} s: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip()

    def cpu_seconds(self) -> float:
        """User and system time of the program and everything it started that still runs, in seconds."""
        return sum(cpu_seconds(pid) for pid in tree(self.pid))

    def anonymous_bytes(self) -> int:
        """Memory nothing but the process itself accounts for: heap and stacks, no file pages."""
        return sum(anonymous_bytes(pid) for pid in tree(self.pid))

    def peak_bytes(self) -> int:
        """The most memory each process of the tree ever held, files it maps included, added up."""
        return sum(status_bytes(pid, "VmHWM") for pid in tree(self.pid))


class Strangers:
    """What programs that are not ours take of the processors from here on: they make a figure worth nothing."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.before = busy_seconds() - our_seconds() - kernel_seconds()

    def share(self) -> float:
        """Their part of one processor since then: 1 is a whole one. Exact to some hundredths of a second."""
        wall = time.monotonic() - self.began
        return max(0.0, busy_seconds() - our_seconds() - kernel_seconds() - self.before) / wall


@dataclass(frozen=True)
class Finished:
    """A program that ran to its end: what it took and what it said."""

    wall: float
    cpu: float
    peak_bytes: int
    code: int
    output: str


def run(
    argv: Sequence[str | Path],
    cpu: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    errors: IO[bytes] | int | None = subprocess.DEVNULL,
    codes: Sequence[int] = (0,),
) -> Finished:
    """Runs a program to its end, and accounts for it and what it waited for.

    Raises CaseFailed when it ends with a code not in `codes`.
    """
    began = time.monotonic()
    popen = subprocess.Popen(
        pinned(argv, cpu), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env, cwd=cwd
    )
    with popen.stdout:
        output = popen.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(popen.pid, 0)
    wall = time.monotonic() - began
    code = popen.returncode = os.waitstatus_to_exitcode(status)
    if code not in codes:
        raise CaseFailed(f"{' '.join(map(str, argv))[:300]} ended with {code}: {output[-500:]}")
    return Finished(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, code, output)


def pinned(argv: Sequence[str | Path], cpu: int | None) -> list[str]:
    words = [str(word) for word in argv]
    if cpu is None or (os.cpu_count() or 1) < 2:
        return words
    return ["taskset", "-c", str(cpu), *words]


def tree(pid: int) -> list[int]:
    """`pid` and everything it started that still runs, parents first."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """What the clock of this process counted, by all its threads, living or not; 0 when it is gone."""
    try:
        # clock_getcpuclockid(3): the complement of the id, and 2 for "time the scheduler gave it".
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def busy_seconds() -> float:
    """What all processors did, in seconds: everything but idling, waiting for disks and being away."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICKS


def our_seconds() -> float:
    """What this program, what it started and what of that is over took."""
    over = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(cpu_seconds(pid) for pid in tree(os.getpid())) + over.ru_utime + over.ru_stime


def kernel_seconds() -> float:
    """What the kernel's own threads took: writing back our files is no stranger's work."""
    return sum(cpu_seconds(pid) for pid in tree(KERNEL)[1:])


def anonymous_bytes(pid: int) -> int:
    return status_bytes(pid, "RssAnon")


def status_bytes(pid: int, key: str) -> int:
    """A line of /proc/PID/status that counts kB; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
