"""
Downloading what addresses of the API point at, from hosts that somebody named.

An address in an answer is data that others wrote: it may point anywhere. So a host must be in a list, what it resolves
to is looked at before a connection is made (and the connection goes to just that address), redirects are followed only
to hosts in the list, and neither the API's token nor a password of ``.netrc`` goes along.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool, exceptions

from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatDestinationError
from airflow_provider_wtschat.hooks import transport
from airflow_provider_wtschat.hooks.connection import ConnectionSettings

__all__ = ["AllowedHosts", "DownloadError", "Downloaded", "Downloads", "Failure"]

_CHUNK = 64 * 1024
_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_GONE = {403, 404, 410}
"""What storages answer for what was removed, and for an address whose time is up."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_LONGEST_WAIT = 60.0


class Failure(Enum):
    """Why a file was not copied."""

    GONE = "gone"
    """The server has no such file any more, or the time of its address is up."""
    NO_ADDRESS = "no_address"
    """The row has no address: personal data was left out, or the API does not say."""
    BAD_ID = "bad_id"
    """The id of the file cannot be the name of an object."""
    BAD_ADDRESS = "bad_address"
    """The address is none, or holds a user or a password."""
    HOST = "host_not_allowed"
    """The address, or a redirect, leads to a host that is not in the list."""
    PRIVATE = "private_address"
    """The host has an address that is not one of the internet."""
    TOO_LARGE = "too_large"
    NOT_THE_FILE = "not_the_file"
    """A page came in place of a file."""
    REFUSED = "refused"
    """The server answered with another status that says no."""
    INCOMPLETE = "incomplete"
    """Less or more came than the server had announced, or the connection broke."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    SERVER = "server_error"
    STOPPED = "stopped"

    @property
    def passing(self) -> bool:
        """Whether it may be over at the next try."""
        return self in (Failure.INCOMPLETE, Failure.TIMEOUT, Failure.UNREACHABLE, Failure.SERVER)


class DownloadError(Exception):
    """
    A file was not downloaded.

    :param failure: why
    :param host: the host in question
    :param status: status of the answer, where there was one
    :param retry_after: seconds that the server asks to wait
    """

    def __init__(
        self, failure: Failure, host: str = "", *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.host = host
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Downloaded:
    """
    A file that was downloaded whole.

    :param size: its bytes
    :param sha256: their checksum, in hexadecimal
    :param mime_type: what the server says that it is
    """

    size: int
    sha256: str
    mime_type: str | None


class AllowedHosts:
    """
    The hosts that addresses may lead to.

    :param entries: hosts such as ``files.example.com`` or ``*.example.com`` (below it), reached by https at its usual
        port; another port is given with it, and http by an entry such as ``http://files.example.com:8080``
    :raises WtsChatArgumentError: if an entry is none
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact: set[tuple[str, str, int]] = set()
        self._below: set[tuple[str, str, int]] = set()
        for entry in entries:
            text = entry.strip().lower()
            try:
                parts = urlsplit(text if "://" in text else f"https://{text}")
                port = parts.port or _PORTS.get(parts.scheme)
            except ValueError:
                port = None
            name = "" if port is None else (parts.hostname or "")
            bare = name.removeprefix("*.")
            if not bare or port is None or "*" in bare or parts.path.strip("/") or "@" in parts.netloc:
                raise WtsChatArgumentError(
                    "allowed_hosts",
                    f"{entry!r} was given; a host such as files.example.com, *.example.com or "
                    "http://files.example.com:8080 is wanted",
                )
            (self._below if name != bare else self._exact).add((parts.scheme, bare, port))

    def allow(self, scheme: str, host: str, port: int) -> bool:
        """Return whether a host, reached by ``http`` or ``https`` at a port, is in the list."""
        name = host.lower().strip("[]").rstrip(".")
        if (scheme, name, port) in self._exact:
            return True
        return any((scheme, port) == (one, number) and name.endswith(f".{bare}") for one, bare, number in self._below)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet, whatever it is wrapped in."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in _TRANSLATED:
            inner = ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
        if inner and not is_public(str(inner)):
            return False
    return bool(ip.is_global and not ip.is_multicast)


class _AddressError(exceptions.HTTPError):
    """The host has an address that is not one of the internet."""


class _Looking:
    """Makes connections to addresses that were looked at."""

    _dns_host: str

    def _new_conn(self) -> socket.socket:
        wanted = self._dns_host
        try:
            found = socket.getaddrinfo(wanted.strip("[]"), self.port, 0, socket.SOCK_STREAM)  # type: ignore[attr-defined]
        except OSError:
            # As urllib3 tells it.
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(map(is_public, addresses)):
            raise _AddressError(wanted)
        try:
            for place, address in enumerate(addresses):
                self._dns_host = address
                try:
                    return super()._new_conn()  # type: ignore[misc,no-any-return]
                except exceptions.HTTPError:
                    if place == len(addresses) - 1:
                        raise
        finally:
            self._dns_host = wanted
        raise _AddressError(wanted)


class _HttpConnection(_Looking, connection.HTTPConnection):
    pass


class _HttpsConnection(_Looking, connection.HTTPSConnection):
    pass


class _HttpPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Adapter(HTTPAdapter):
    """Makes connections of its own where no proxy does, since a proxy looks names up itself."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _NoPermission(requests.auth.AuthBase):
    """Sends none: without it requests would look for one in ``.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Downloads:
    """
    Downloads files. Each thread needs one of its own.

    :param settings: the connection, for its timeout, proxies and certificates; its token is not used
    :param allowed: the hosts that addresses may lead to
    :param private: whether hosts may have addresses that are not of the internet
    :param max_bytes: bytes of a file at most
    :param file_timeout: seconds that a file may take at most
    :param stop: set when everything is to end
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        allowed: AllowedHosts,
        *,
        private: bool,
        max_bytes: int,
        file_timeout: float,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._allowed = allowed
        self._private = private
        self._max_bytes = max_bytes
        self._file_timeout = file_timeout
        self._stop = stop
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        if not private:
            for scheme in _PORTS:
                self._session.mount(f"{scheme}://", _Adapter())

    def close(self) -> None:
        """Close what is open."""
        self._session.close()

    def fetch(self, address: str, target: Path) -> Downloaded:
        """
        Download a file; what may be over at the next try is tried again.

        :param address: where it is
        :param target: where to put it
        :raises DownloadError: if that failed
        """
        tries: Counter[Failure] = Counter()
        while True:
            try:
                return self._once(address, target, time.monotonic() + self._file_timeout)
            except DownloadError as error:
                tries[error.failure] += 1
                if not error.failure.passing or tries.total() > min(3, self._settings.max_retries):
                    raise
                wait = transport.back_off(tries.total(), None) if error.retry_after is None else error.retry_after
                if wait > _LONGEST_WAIT or self._stop.wait(wait):
                    raise

    def _once(self, address: str, target: Path, deadline: float) -> Downloaded:
        host = ""
        try:
            for _ in range(_REDIRECTS + 1):
                request, host = self._request(address)
                with self._answer(request) as answer:
                    if answer.is_redirect or answer.is_permanent_redirect:
                        address = urljoin(address, answer.headers["Location"])
                        continue
                    return self._take(answer, host, target, deadline)
            raise DownloadError(Failure.REFUSED, host)
        except requests.exceptions.RequestException as error:
            raise DownloadError(_failure(error), host) from None
        except _AddressError:
            raise DownloadError(Failure.PRIVATE, host) from None
        except (exceptions.HTTPError, OSError) as error:
            late = isinstance(error, (exceptions.TimeoutError, TimeoutError))
            raise DownloadError(Failure.TIMEOUT if late else Failure.INCOMPLETE, host) from None

    def _request(self, address: str) -> tuple[requests.PreparedRequest, str]:
        # Servers may not pack it: what arrives is what is checked and stored.
        headers = {"User-Agent": transport.USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        try:
            asked = requests.Request("GET", address, headers=headers, auth=_NoPermission())
            request = self._session.prepare_request(asked)
            # In the spelling in which it is sent: two readings of one address could differ.
            parts = urlsplit(request.url or "")
            scheme, name = str(parts.scheme), parts.hostname or ""
            port = parts.port or _PORTS[scheme]
        except (requests.exceptions.RequestException, ValueError, KeyError):
            raise DownloadError(Failure.BAD_ADDRESS) from None
        if "@" in str(parts.netloc) or "\\" in address or not name:
            raise DownloadError(Failure.BAD_ADDRESS)
        if not self._allowed.allow(scheme, str(name), port):
            raise DownloadError(Failure.HOST, f"{scheme}://{name}:{port}")
        if not self._private:
            try:
                public = is_public(str(name))
            except ValueError:
                public = True
            if not public:
                raise DownloadError(Failure.PRIVATE, str(name))
        return request, str(name)

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        settings = self._settings
        told = self._session.merge_environment_settings(
            request.url, dict(settings.proxies), True, settings.verify_ssl, None
        )
        return self._session.send(
            request,
            timeout=(transport.CONNECT_TIMEOUT, min(settings.timeout, self._file_timeout)),
            allow_redirects=False,
            **told,
        )

    def _take(self, answer: requests.Response, host: str, target: Path, deadline: float) -> Downloaded:
        status = answer.status_code
        if status in _GONE:
            raise DownloadError(Failure.GONE, host, status=status)
        if status in _PASSING or status >= 500:
            raise DownloadError(Failure.SERVER, host, status=status, retry_after=_seconds(answer))
        if status != 200:
            raise DownloadError(Failure.REFUSED, host, status=status)
        kind = (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower() or None
        announced = _length(answer)
        if announced is not None and announced > self._max_bytes:
            raise DownloadError(Failure.TOO_LARGE, host)
        checksum, size = hashlib.sha256(), 0
        with _disk():
            file = target.open("wb")
        try:
            for chunk in _chunks(answer.raw):
                size += len(chunk)
                if size > self._max_bytes:
                    raise DownloadError(Failure.TOO_LARGE, host)
                if self._stop.is_set():
                    raise DownloadError(Failure.STOPPED, host)
                if time.monotonic() > deadline:
                    raise DownloadError(Failure.TIMEOUT, host)
                checksum.update(chunk)
                with _disk():
                    file.write(chunk)
            with _disk():
                file.close()
        finally:
            with suppress(OSError):
                file.close()
        if announced is not None and answer.raw.tell() != announced:
            raise DownloadError(Failure.INCOMPLETE, host)
        return Downloaded(size, checksum.hexdigest(), kind)


@contextmanager
def _disk() -> Iterator[None]:
    """Raise a fault of this machine's disk as one of the destination, which a fault of the network is not."""
    try:
        yield
    except OSError as error:
        message = f"The worker's disk did not take a file that is being copied: {os.strerror(error.errno or 0)}"
        raise WtsChatDestinationError(message, retryable=True) from error


def _chunks(raw: Any) -> Iterator[bytes]:
    """Give what has arrived as it arrives: a server that sends a byte now and then is not to outlast its time."""
    if not hasattr(raw, "read1"):
        # urllib3 1.26 has it not.
        yield from raw.stream(_CHUNK, decode_content=True)
        return
    while chunk := raw.read1(_CHUNK, decode_content=True):
        yield chunk


def _failure(error: requests.exceptions.RequestException) -> Failure:
    if isinstance(error, requests.exceptions.Timeout):
        return Failure.TIMEOUT
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        return Failure.INCOMPLETE
    return Failure.UNREACHABLE


def _length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length", "").strip()
    return int(text) if text.isdigit() else None


def _seconds(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else None
