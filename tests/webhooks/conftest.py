"""What the tests of webhooks share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from airflow_provider_wtschat.webhooks.inbox import Inbox, get_inbox
from tests.arrivals import redis_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis of our own."""
    with redis_server() as url:
        if url is None:
            pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
        yield url


@pytest.fixture(params=["directory", "redis"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of inbox."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return str(tmp_path / "inbox")


@pytest.fixture
def inbox(spec: str) -> Iterator[Inbox]:
    inbox = get_inbox(spec)
    yield inbox
    inbox.close()


@pytest.fixture
def conn_id() -> str:
    """A connection of the test's own."""
    return f"wtschat_{uuid4().hex}"
