"""An inbox in Redis, for several machines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException
from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.webhooks.inbox._base import BEGINNING, Inbox, InboxError, Stored

if TYPE_CHECKING:
    from redis import Redis

_TIMEOUT_SECONDS = 5.0

# A stream for each connection, and a key for each digest that lives as long as events are kept.
_PUT = """
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2], 'digest', ARGV[3])
redis.call('SADD', KEYS[3], ARGV[4])
return 1
"""
_MOVE = """
local function parts(place)
  local first, second = string.match(place, '^(%d+)-(%d+)$')
  return tonumber(first or '0'), tonumber(second or '0')
end
local now_ms, now_seq = parts(redis.call('HGET', KEYS[1], ARGV[1]) or '0-0')
local ms, seq = parts(ARGV[2])
if ms > now_ms or (ms == now_ms and seq >= now_seq) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
"""


class RedisInbox(Inbox):
    """
    Events in streams of Redis.

    They are as safe as Redis is: without an append-only file (``appendonly yes``) a restart of Redis loses them.

    :param url: ``redis://`` or ``rediss://``; it never shows, because it may hold a password
    :param keep_hours: how long events are kept, and redeliveries are known
    :raises AirflowOptionalProviderFeatureException: if the package ``redis`` is missing
    """

    def __init__(self, url: str, keep_hours: float) -> None:
        try:
            from redis import RedisError
        except ImportError as error:
            msg = "An inbox in Redis needs the extra 'redis': pip install 'airflow-provider-wtschat[redis]'."
            raise AirflowOptionalProviderFeatureException(msg) from error
        self._errors = (RedisError, OSError)
        self._url = url
        self._keep_ms = int(keep_hours * 3_600_000)
        self._connect()

    def describe(self) -> str:
        """Return where it is."""
        parts = urlsplit(self._url)
        return f"Redis ({parts.hostname or 'localhost'}:{parts.port or 6379})"

    def put(self, batch: Sequence[tuple[str, WebhookEvent]]) -> list[bool]:
        """Store events, in one journey."""

        def store(client: Redis) -> list[bool]:
            journey = client.pipeline(transaction=False)
            for conn_id, event in batch:
                keys = [_key(f"seen:{conn_id}:{event.digest}"), _stream(conn_id), _key("connections")]
                reference = json.dumps(event.reference(), separators=(",", ":"))
                self._put(keys=keys, args=[self._keep_ms, reference, event.digest, conn_id], client=journey)
            return [bool(answer) for answer in journey.execute()]

        return list(self._call(store))

    def read(
        self, conn_id: str, *, after: str = BEGINNING, until: str | None = None, limit: int = 1000
    ) -> list[Stored]:
        """Return events in the order in which they were stored."""
        first, last = f"({after}" if after else "-", "+" if until is None else until or "0-0"
        rows = self._call(lambda client: client.xrange(_stream(conn_id), min=first, max=last, count=limit))
        return [
            Stored(
                place,
                datetime.fromtimestamp(int(place.partition("-")[0]) / 1000, UTC),
                WebhookEvent.from_reference(json.loads(row["event"]), row["digest"]),
            )
            for place, row in rows
        ]

    def end(self, conn_id: str) -> str:
        """Return the place of the latest event."""
        rows = self._call(lambda client: client.xrevrange(_stream(conn_id), count=1))
        return str(rows[0][0]) if rows else BEGINNING

    def connections(self) -> list[str]:
        """Return the ids of the connections that have events."""
        return sorted(self._call(lambda client: client.smembers(_key("connections"))))

    def newest(self, conn_id: str) -> datetime | None:
        """Return when the latest event was stored."""
        place = self.end(conn_id)
        return datetime.fromtimestamp(int(place.partition("-")[0]) / 1000, UTC) if place else None

    def cursor(self, name: str) -> str | None:
        """Return how far a reader has read."""
        found: str | None = self._call(lambda client: client.hget(_key("cursors"), name))
        return found

    def cursors(self) -> dict[str, str]:
        """Return how far each reader has read."""
        return dict(self._call(lambda client: client.hgetall(_key("cursors"))))

    def move(self, name: str, place: str) -> None:
        """Remember how far a reader has read."""
        self._call(lambda _: self._move(keys=[_key("cursors")], args=[name, place]))

    def remember(self, name: str, after: str, until: str) -> None:
        """Remember what somebody has read."""
        value = json.dumps([after, until])
        self._call(lambda client: client.set(_key(f"reading:{name}"), value, px=self._keep_ms))

    def recall(self, name: str) -> tuple[str, str] | None:
        """Return what was remembered of a reading."""
        found: str | None = self._call(lambda client: client.get(_key(f"reading:{name}")))
        if found is None:
            return None
        after, until = json.loads(found)
        return after, until

    def prune(self, before: datetime) -> int:
        """Forget old events."""
        oldest = f"{int(before.timestamp() * 1000)}-0"

        def trim(client: Redis) -> int:
            known: Any = client.smembers(_key("connections"))
            return sum(int(client.xtrim(_stream(conn_id), minid=oldest)) for conn_id in known)

        return int(self._call(trim))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _connect(self) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._process = os.getpid()
        self._client: Redis = Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            decode_responses=True,
            # What is asked twice is stored once: its digest is known then.
            retry=Retry(NoBackoff(), 1),
        )
        self._put = self._client.register_script(_PUT)
        self._move = self._client.register_script(_MOVE)

    def _call(self, do: Any) -> Any:
        try:
            if self._process != os.getpid():
                self._connect()
            return do(self._client)
        except self._errors as error:
            msg = f"{self.describe()}: {error}"
            raise InboxError(msg) from error


def _key(name: str) -> str:
    return f"wtschat:webhooks:v1:{name}"


def _stream(conn_id: str) -> str:
    return _key(f"events:{conn_id}")
