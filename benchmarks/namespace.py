"""The network the cases run in: a namespace of its own, whose loopback looks like a network card.

Two properties of an ordinary loopback make every figure on it meaningless:

- where the system's congestion control is BBR, its pacing decides (1 to 4 GiB/s for the same server that does 15 with cubic);
- with its MTU of 65536 an answer of 64 KiB and its head is one segment and a bit, and the bit waits for a delayed
  acknowledgement: 44 ms, some 2 000 requests a second instead of 50 000.

So the namespace has an MTU of 1500, where segmentation offload works as on a card, and cubic on every route.
"""

from __future__ import annotations

import subprocess

MTU = 1500


def prepare() -> None:
    """Sets up the loopback of the namespace this process is in. It must be a new one: the system's own is refused."""
    if links() != ["lo"]:
        raise RuntimeError("not in a network namespace of our own; start with benchmarks/run")
    ip("link", "set", "lo", "mtu", str(MTU), "up")
    # The sysctl belongs to the system, or may name only what unprivileged users may choose; a route names what it wants.
    for destination in ("127.0.0.0/8", "127.0.0.1"):
        ip(
            *("route", "replace", "local", destination, "dev", "lo", "table", "local"),
            *("proto", "kernel", "scope", "host", "src", "127.0.0.1", "congctl", "cubic"),
        )


def links() -> list[str]:
    shown = subprocess.run(["ip", "-o", "link", "show"], check=True, capture_output=True, text=True).stdout
    return [line.split(":")[1].strip().split("@")[0] for line in shown.splitlines()]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
