"""Ways to an API that lead through a proxy, forwarding or tunnelling, with the faults that happen on the way."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

NAME = "wts.invalid"
"""A host that only the proxy knows: whoever reaches the API by it went through the proxy."""

UNSENT = ("refused_407", "refused_502", "reset_first")
"""Faults of a tunnel that is not there yet: the API's request never left the client."""

SENT = ("reset_before", "reset_after", "closed_before", "closed_after", "half", "plain_before", "plain_after")
"""Faults after the first byte; ``_after`` means that the API got the request and acted."""


@dataclass
class Proxy:
    """
    A proxy in front of one API, whatever host it is asked for.

    :param target: address of the API, which speaks HTTP
    :param trust: context of the far end of tunnels, where TLS ends
    """

    target: tuple[str, int]
    trust: ssl.SSLContext
    fault: str | None = None
    """What goes wrong with every request from now on."""
    requests: list[str] = field(default_factory=list)
    """First lines of the requests to the API that came in, decrypted."""
    connects: int = 0
    """Tunnels that were asked for."""
    port: int = 0

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Serve on a free port, a thread per connection."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head, body = _message(client)
            if head.startswith(b"CONNECT "):
                self.connects += 1
                if self.fault == "reset_first":
                    return _reset(client)
                if self.fault and self.fault.startswith("refused"):
                    status = self.fault.removeprefix("refused_")
                    client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
                    return None
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with self.trust.wrap_socket(client, server_side=True) as stream:
                    self._exchange(stream, *_message(stream))
                return None
            self._exchange(client, head, body)

    def _exchange(self, client: socket.socket, head: bytes, body: bytes) -> None:
        """Pass on one request and its answer."""
        first, _, rest = head.partition(b"\r\n")
        method, target, version = first.decode("latin-1").split(" ")
        self.requests.append(f"{method} {target}")
        fault = self.fault
        if fault is not None and fault.endswith("_before"):
            return _spoil(client, fault)
        parts = urlsplit(target)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [line for line in rest.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        own = b"\r\n".join([f"{method} {path} {version}".encode("latin-1"), *lines, b"Connection: close", b"", b""])
        with socket.create_connection(self.target) as api:
            api.sendall(own + body)
            answer = b""
            try:
                while chunk := api.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                return _spoil(client, "reset")
        if fault == "half":
            client.sendall(answer[: len(answer) // 2])
            return _spoil(client, "reset")
        if fault is not None and fault.endswith("_after"):
            return _spoil(client, fault)
        client.sendall(answer)


def _message(stream: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = stream.recv(65536)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += stream.recv(65536)
    return head, body


def _spoil(client: socket.socket, fault: str) -> None:
    if fault.startswith("reset"):
        _reset(client)
    elif fault.startswith("plain"):
        # Below TLS, where the client expects a record: it reads this as one of a wrong version.
        os.write(client.fileno(), b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(client.detach())


def certificate(folder: Path) -> Path:
    """Make a certificate with its key, valid for the name that the proxy knows. It is its own authority."""
    program = shutil.which("openssl")
    assert program is not None
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both
