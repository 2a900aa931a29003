"""A receiver that drops what it gets in the kernel (MSG_TRUNC), so that only the sender is measured.

    sink.py '{"port": 5280, "path": "/file", "headers": {}, "times": 3}'

prints the seconds it took in all and the size of each body.
"""

from __future__ import annotations

import json
import socket
import sys
import time


def main() -> None:
    asked = json.loads(sys.argv[1])
    lines = [f"GET {asked['path']} HTTP/1.1", f"Host: 127.0.0.1:{asked['port']}"]
    lines += [f"{field}: {value}" for field, value in asked["headers"].items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    sizes = []
    with socket.create_connection(("127.0.0.1", asked["port"])) as kept:
        began = time.monotonic()
        for _ in range(asked["times"]):
            kept.sendall(request)
            sizes.append(dropped(kept))
        seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "sizes": sizes}))


def dropped(kept: socket.socket) -> int:
    """Reads one answer, its body unseen, and returns how long the body was; shorter than announced if it ends early."""
    length = announced(head_of(kept))
    left = length
    while left > 0:
        count = kept.recv_into(BUFFER, min(left, len(BUFFER)), socket.MSG_TRUNC)
        if count == 0:
            break
        left -= count
    return length - left


def head_of(kept: socket.socket) -> bytes:
    """Takes the head of an answer, and nothing of the body behind it."""
    while (end := (seen := kept.recv(8192, socket.MSG_PEEK)).find(b"\r\n\r\n")) < 0:
        if not seen or len(seen) == 8192:
            sys.exit(f"no head, but {seen[:100]!r}")
    return kept.recv(end + 4)


def announced(head: bytes) -> int:
    lines = head.decode("latin-1").split("\r\n")
    if " 200 " not in lines[0]:
        sys.exit(f"answered {lines[0]}")
    return next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))


# Never written to; the kernel only looks at how much it may drop at once.
BUFFER = bytearray(4 << 20)

if __name__ == "__main__":
    main()
