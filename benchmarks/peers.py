"""The servers of the comparisons, each tuned as its manual says one should, with one worker.

Every server offers the files of one folder; `Server.url(name)` is where, and `headers` is what must be sent along.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cases import Lab
from failures import CaseFailed
from processes import SERVER_CPU, Process

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 and localhost, and its private key, both PEM files."""

    chain: Path
    key: Path


@dataclass
class Server:
    """A server that answers."""

    name: str
    process: Process
    port: int
    paths: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: Certificate | None = None

    def path(self, name: str) -> str:
        return self.paths[name]

    def url(self, name: str) -> str:
        return f"{'https' if self.certificate else 'http'}://{HOST}:{self.port}{self.path(name)}"

    def connect(self) -> http.client.HTTPConnection:
        return connection(self.port, self.certificate)

    def get(self, name: str, span: tuple[int, int] | None = None, over: http.client.HTTPConnection | None = None) -> bytes:
        """The bytes of a file, or those from `span[0]` to before `span[1]`, with the status that belongs to them."""
        one_of_many = over or self.connect()
        extra = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {}
        one_of_many.request("GET", self.path(name), headers={**self.headers, **extra})
        answer = one_of_many.getresponse()
        body = answer.read()
        if answer.status != (206 if span else 200):
            raise CaseFailed(f"{self.name} answered {answer.status} for {span or 'all'} of {name}")
        if over is None:
            one_of_many.close()
        return body


@contextmanager
def nginx(
    lab: Lab,
    root: Path,
    open_file_cache: bool = False,
    certificate: Certificate | None = None,
    cpu: int | None = SERVER_CPU,
    port: int | None = None,
    extra: str = "",
    host: str = HOST,
) -> Iterator[Server]:
    """nginx as for a busy file server: sendfile, full packets, one worker, no log of requests, connections kept."""
    port = port or free_port()
    home = lab.work / f"nginx-{port}"
    home.mkdir()
    listen = f"{host}:{port}"
    if certificate:
        listen += " ssl http2"
        extra += f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key}; ssl_protocols TLSv1.2 TLSv1.3;"
    if open_file_cache:
        extra += "open_file_cache max=10000 inactive=60s; open_file_cache_valid 1s; open_file_cache_min_uses 1;"
    temporary = " ".join(f"{kind}_temp_path {home};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    gzip off;
    etag on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    {temporary}
    {extra}
    server {{
        listen {listen} backlog=4096;
        root {root};
    }}
}}
""")
    argv = ["nginx", "-c", home / "nginx.conf", "-e", home / "error.log"]
    with Process(argv, home / "log", cpu) as process:
        process.await_that("nginx", lambda: listening(port, host))
        name = "nginx with open_file_cache" if open_file_cache else "nginx"
        yield Server(name, process, port, {file.name: f"/{file.name}" for file in root.iterdir()}, {}, certificate)


@contextmanager
def peerd(
    lab: Lab,
    root: Path,
    certificate: Certificate | None = None,
    cpu: int | None = SERVER_CPU,
    binary: Path | None = None,
    more: str = "",
) -> Iterator[Server]:
    """peerd sharing `root`, with a key in its configuration that every request must carry.

    `more` is further TOML.
    """
    port, admin_port = free_port(), free_port()
    home = lab.work / f"peerd-{port}"
    home.mkdir()
    key = secrets.token_hex(16)
    tls = f'tls_cert = "{certificate.chain}"\ntls_key = "{certificate.key}"' if certificate else ""
    config = home / "peerd.toml"
    config.touch(mode=0o600)
    config.write_text(f"""
[server]
listen = ["{HOST}:{port}"]
max_connections = 4096
max_connections_per_key = 0
sendfile = true
{tls}
[admin]
listen = ["{HOST}:{admin_port}"]
[keys.bench]
secret = "{key}"
[shares.bench]
path = "{root}"
{more}
""")
    argv = [binary or lab.peerd, "serve", "--config", config, "--state-dir", home / "state"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    headers = {"Authorization": f"Bearer {key}"}
    with Process(argv, home / "log", cpu, environment) as process:
        process.await_that("peerd", lambda: listening(port))
        paths: dict[str, str] = {}

        def walked() -> bool:
            paths.update(items(port, headers, certificate))
            return {file.name for file in root.iterdir()} <= paths.keys()

        process.await_that("item of every file", walked)
        yield Server("peerd", process, port, paths, headers, certificate)


def items(port: int, headers: Mapping[str, str], certificate: Certificate | None = None) -> dict[str, str]:
    """Where each file of a peerd is fetched, by its name; nothing while it is not ready."""
    found: dict[str, str] = {}
    cursor = ""
    one = connection(port, certificate)
    try:
        while True:
            one.request("GET", f"/peer/items?limit=500{cursor}", headers=dict(headers))
            answer = one.getresponse()
            body = answer.read()
            if answer.status == 503:
                return {}
            if answer.status != 200:
                raise CaseFailed(f"the list of items answers {answer.status}: {body[:300]!r}")
            page = json.loads(body)
            found |= {item["filename"]: f"/peer/items/{item['id']}/file" for item in page["items"]}
            if not page["next"]:
                return found
            cursor = f"&cursor={page['next']}"
    finally:
        one.close()


def make_certificate(lab: Lab) -> Certificate:
    """An ECDSA P-256 certificate that signs itself, as small installations have."""
    made = Certificate(lab.work / "chain.pem", lab.work / "key.pem")
    if not made.chain.exists():
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-keyout", made.key, "-out", made.chain, "-days", "2", "-subj", "/CN=localhost"),
                *("-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"),
            ],
            check=True,
            capture_output=True,
        )
        made.key.chmod(0o600)
    return made


def connection(port: int, certificate: Certificate | None = None) -> http.client.HTTPConnection:
    if certificate is None:
        return http.client.HTTPConnection(HOST, port, timeout=60)
    trusting = ssl.create_default_context(cafile=certificate.chain)
    return http.client.HTTPSConnection(HOST, port, timeout=60, context=trusting)


def listening(port: int, host: str = HOST) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port nothing listens on. The namespace is ours alone, so it stays free until it is used."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
