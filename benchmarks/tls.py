"""Serving under TLS: HTTP/1.1 and HTTP/2, with the same certificate, protocol and cipher on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cases import KIB, Lab, case
from failures import CaseFailed
from load import by_curl, check_bytes
from material import digest, random_file
from pairs import Figure, Row, compared
from peers import HOST, Certificate, Server, make_certificate, nginx, peerd
from processes import LOAD_CPU, run

CIPHER = "TLS_AES_128_GCM_SHA256"
CURL = ("--tlsv1.3", "--tls13-ciphers", CIPHER)

THROUGHPUT = Figure("gib_s", "throughput", "GiB/s", True, aim=0.8)
CPU = Figure("cpu_gib", "server CPU", "s/GiB")
REQUESTS = Figure("rate", "requests", "/s", True, aim=0.8)
CPU_REQUEST = Figure("cpu_request", "server CPU", "µs/request")

PROGRAMS = {"nginx": "nginx", "curl": "curl", "openssl": "openssl"}


@case("tls", f"TLS 1.3 with {CIPHER}: a whole file", PROGRAMS)
def whole_file(lab: Lab) -> Sequence[Row]:
    rows: list[Row] = []
    with servers(lab) as (file, peers):
        size = file.stat().st_size
        for what, words in [("HTTP/1.1, curl", ("--http1.1",)), ("HTTP/2, curl", ("--http2",))]:
            rounds = lab.rounds({peer.name: partial(by_curl, peer, file.name, size, 1, (*CURL, *words)) for peer in peers})
            rows += compared(what, rounds, [THROUGHPUT, CPU], "peerd", "nginx")
    return rows


@case("tls-ranges", f"TLS 1.3 with {CIPHER}: ranges of 64 KiB over HTTP/2", PROGRAMS | {"h2load": "nghttp2-client"})
def ranges(lab: Lab) -> Sequence[Row]:
    with servers(lab) as (file, peers):
        count = lab.full_or_quick(20_000, 1_000)
        rounds = lab.rounds({peer.name: partial(by_h2load, peer, file.name, 64 * KIB, count) for peer in peers})
    return compared("8 connections of 8 streams", rounds, [REQUESTS, CPU_REQUEST], "peerd", "nginx")


@contextmanager
def servers(lab: Lab) -> Iterator[tuple[Path, list[Server]]]:
    """peerd and nginx under the same certificate, offering the same file."""
    root = lab.work / "files"
    root.mkdir()
    file = random_file(root / "large.bin", lab.whole())
    expected = digest(file)
    certificate: Certificate = make_certificate(lab)
    with peerd(lab, root, certificate) as ours, nginx(lab, root, certificate=certificate) as theirs:
        for peer in (ours, theirs):
            check_bytes(peer, file, expected)
            check_cipher(peer, file.name)
        yield file, [ours, theirs]


def check_cipher(server: Server, name: str) -> None:
    """Both protocols must be spoken, with the cipher the case is about."""
    argv = ["curl", "-sSv", "--http2", *CURL, "--cacert", str(server.certificate.chain), "-r", "0-0", "-o", "/dev/null"]
    headers = [word for field, value in server.headers.items() for word in ("-H", f"{field}: {value}")]
    said = run(["sh", "-c", 'exec "$@" 2>&1', "sh", *argv, *headers, server.url(name)]).output
    if f"TLSv1.3 / {CIPHER}" not in said or "HTTP/2 206" not in said:
        raise CaseFailed(f"{server.name} does not speak HTTP/2 with {CIPHER}: {said[-1500:]}")


def by_h2load(server: Server, name: str, length: int, count: int) -> dict[str, float]:
    """The first `length` bytes, `count` times: requests a second, and the server's CPU for one in microseconds."""
    headers = [word for field, value in server.headers.items() for word in ("-H", f"{field}: {value}")]
    argv = ["h2load", f"-n{count}", "-c8", "-m8", "-t1", f"--tls13-ciphers={CIPHER}", *headers]
    argv += ["-H", f"range: bytes=0-{length - 1}", f"https://{HOST}:{server.port}{server.path(name)}"]
    before = server.process.cpu_seconds()
    said = run(argv, LOAD_CPU).output
    cpu = server.process.cpu_seconds() - before
    done = re.search(r"finished in ([\d.]+)(us|ms|s),", said)
    good = re.search(r"(\d+) succeeded", said)
    body = re.search(r"\((\d+)\) data", said)
    if not (done and good and body) or int(good[1]) != count or int(body[1]) != count * length:
        raise CaseFailed(f"{server.name}: {said[-1000:]}")
    seconds = float(done[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[done[2]]
    return {"rate": count / seconds, "cpu_request": cpu / count * 1e6}
