"""Asks for one byte each millisecond over a kept connection, and says how long each answer took.

    probe.py '{"port": 5280, "path": "/file", "headers": {}, "seconds": 30}'

prints a line when it has begun, ends after that time or at a line on its standard input, and prints the times in ms as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


def main() -> None:
    asked = json.loads(sys.argv[1])
    lines = [f"GET {asked['path']} HTTP/1.1", f"Host: 127.0.0.1:{asked['port']}", "Range: bytes=7-7"]
    lines += [f"{field}: {value}" for field, value in asked["headers"].items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    took = []
    with socket.create_connection(("127.0.0.1", asked["port"]), timeout=30) as kept:
        kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer(kept, request)
        print("begun", flush=True)
        end = time.monotonic() + asked["seconds"]
        due = time.monotonic()
        while (now := time.monotonic()) < end and not select.select([sys.stdin], [], [], 0)[0]:
            took.append(answer(kept, request))
            # After a late answer the beat starts anew: one stall is one slow probe, not a burst of them.
            due = max(due + 0.001, now)
            time.sleep(max(0.0, due - time.monotonic()))
    print(json.dumps(took))


def answer(kept: socket.socket, request: bytes) -> float:
    """Sends one request and reads its answer of one byte; milliseconds."""
    began = time.monotonic()
    kept.sendall(request)
    got = b""
    while len(got.partition(b"\r\n\r\n")[2]) != 1:
        part = kept.recv(4096)
        if not part:
            sys.exit(f"the connection ended after {got[:100]!r}")
        got += part
    took = time.monotonic() - began
    if not got.startswith(b"HTTP/1.1 206"):
        sys.exit(f"answered {got[:100]!r}")
    return took * 1000


if __name__ == "__main__":
    main()
