"""What pulls at a server: curl, a receiver that drops the body in its kernel, wrk. Each checks how much it got."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from cases import GIB, Lab
from failures import CaseFailed
from peers import Server
from processes import LOAD_CPU, run

HERE = Path(__file__).parent
PREPARED = 4096


def by_curl(server: Server, name: str, size: int, times: int, words: tuple[str, ...] = ()) -> dict[str, float]:
    """Fetches the file `times` times over one connection and throws it away.

    Throughput (`gib_s`) and CPU of the server for a GiB (`cpu_gib`).
    """
    argv = ["curl", "-sS", "--fail", *words, "-w", "%{time_total} %{size_download}\n", *curl_words(server)]
    for _ in range(times):
        argv += ["-o", "/dev/null", server.url(name)]
    before = server.process.cpu_seconds()
    told = run(argv, LOAD_CPU).output.split()
    cpu = server.process.cpu_seconds() - before
    check_sizes(server, map(int, told[1::2]), [size] * times)
    return rates(size * times, sum(map(float, told[::2])), cpu)


def by_sink(server: Server, name: str, size: int, times: int) -> dict[str, float]:
    """As `by_curl`, with a receiver that never copies the body: the server alone is the bound."""
    asked = {"port": server.port, "path": server.path(name), "headers": dict(server.headers), "times": times}
    before = server.process.cpu_seconds()
    told = json.loads(run(["python3", HERE / "sink.py", json.dumps(asked)], LOAD_CPU).output)
    cpu = server.process.cpu_seconds() - before
    check_sizes(server, told["sizes"], [size] * times)
    return rates(size * times, told["seconds"], cpu)


def by_wrk(lab: Lab, server: Server, name: str, size: int, length: int, seconds: int) -> dict[str, float]:
    """Ranges of `length` at random offsets over 64 kept connections, from 4096 prepared requests.

    Requests a second (`rate`) and the server's CPU for one, in microseconds (`cpu_request`).
    """
    script = lab.work / f"ranges-{server.port}-{length}.lua"
    if not script.exists():
        script.write_text(lua(server, name, size, length))
    argv = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--timeout", "10s", "-s", script, f"http://127.0.0.1:{server.port}/"]
    before = server.process.cpu_seconds()
    told = json.loads(run(argv, LOAD_CPU).output.rpartition("wrk:")[2])
    cpu = server.process.cpu_seconds() - before
    if told["errors"] or told["requests"] == 0:
        raise CaseFailed(f"{server.name}: {told['errors']} of {told['requests']} requests failed")
    # Heads count, and so does what the last, unfinished answers brought; a whole file instead of a range would show.
    mean = told["bytes"] / told["requests"]
    if not length < mean < length * 1.25 + 1024:
        raise CaseFailed(f"{server.name}: {mean:.0f} bytes an answer to requests for {length}")
    return {"rate": told["requests"] / told["seconds"], "cpu_request": cpu / told["requests"] * 1e6}


def lua(server: Server, name: str, size: int, length: int) -> str:
    """wrk's script: the requests are made beforehand, the same offsets for every server."""
    offsets = random.Random(length)
    heads = "".join(f"\\r\\n{field}: {value}" for field, value in server.headers.items())
    spans = ",".join(f"{(first := offsets.randrange(size - length + 1))}" for _ in range(PREPARED))
    return f"""
local offsets = {{{spans}}}
local prepared = {{}}
local next_one = 0
function init()
    for index, first in ipairs(offsets) do
        prepared[index] = string.format("GET {server.path(name)} HTTP/1.1\\r\\nHost: 127.0.0.1:{server.port}{heads}"
            .. "\\r\\nRange: bytes=%d-%d\\r\\n\\r\\n", first, first + {length - 1})
    end
end
function request()
    next_one = next_one % {PREPARED} + 1
    return prepared[next_one]
end
function done(summary)
    local errors = summary.errors
    io.write(string.format('wrk:{{"requests": %d, "bytes": %d, "seconds": %f, "errors": %d}}', summary.requests,
        summary.bytes, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def check_bytes(server: Server, file: Path, expected: str) -> None:
    """Fetches everything once and compares it, and some ranges over one connection; also warms the server up."""
    got = hashlib.sha256(server.get(file.name)).hexdigest()
    if got != expected:
        raise CaseFailed(f"{server.name} sends other bytes than {file.name} has")
    size = file.stat().st_size
    chance = random.Random(size)
    kept = server.connect()
    with file.open("rb") as held:
        for length in (1, 65536, 1 << 20) * 8:
            first = chance.randrange(size - length + 1)
            held.seek(first)
            if server.get(file.name, (first, first + length), kept) != held.read(length):
                raise CaseFailed(f"{server.name} sends other bytes for {length} at {first}")
    kept.close()


def curl_words(server: Server) -> list[str]:
    words = [word for field, value in server.headers.items() for word in ("-H", f"{field}: {value}")]
    return words + (["--cacert", str(server.certificate.chain)] if server.certificate else [])


def check_sizes(server: Server, got: object, expected: list[int]) -> None:
    sizes = list(got)
    if sizes != expected:
        raise CaseFailed(f"{server.name} sent {sizes} bytes instead of {expected}")


def rates(size: int, seconds: float, cpu: float) -> dict[str, float]:
    return {"gib_s": size / GIB / seconds, "cpu_gib": cpu / (size / GIB)}
