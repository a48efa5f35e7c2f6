"""The budget that several machines share through Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException
from airflow_provider_wtschat.budget.limits import (
    CLOCK_SLACK,
    GRACE,
    HELD,
    RECOVERY,
    YIELDING,
    Limits,
    Pace,
    Refusal,
    SharedStore,
    StoreError,
    is_full,
    of_limits,
)
from airflow_provider_wtschat.budget.usage import NAMES_KEPT, Taken, Usage, count, current_user

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

_TIMEOUT_SECONDS = 2.0
_PREFIX = "wtschat:budget:v3"
_ACCOUNTS = f"{_PREFIX}:accounts"

# Times are microseconds on Redis' own clock, so that those of the machines do not matter. Each window is a sorted set
# of slots by the time of their answer; a window's pause is a key that expires.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local slot, bulk, lease, slack, grace, keep = ARGV[1], ARGV[2] == '1', ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0, ARGV[6]
local wait, reason = redis.call('PTTL', KEYS[1]) * 1000, 0
local part, pace = 1, redis.call('HMGET', KEYS[6], 'part', 'since')
if pace[1] then part = math.min(1, pace[1] + ARGV[12] * math.max(0, now - pace[2])) end
redis.call('ZADD', KEYS[7], now, ARGV[13])
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - keep * 1000)
redis.call('PEXPIRE', KEYS[7], keep)
local users = redis.call('ZCARD', KEYS[7])
for i = 1, 2 do
  local answers = KEYS[2 * i]
  local limit, seconds = math.max(1, math.floor(ARGV[5 + 2 * i] * ARGV[11] * part + 1e-9)), ARGV[6 + 2 * i] + 0
  redis.call('ZREMRANGEBYSCORE', answers, '-inf', now - seconds)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', answers, now + lease + slack, '+inf')) do
    redis.call('ZADD', answers, now, member)
  end
  local paused = bulk and redis.call('PTTL', KEYS[2 * i + 1]) * 1000 or 0
  if paused > wait then wait, reason = paused, 3 end
  local ranked = redis.call('ZREVRANGE', answers, limit - 1, limit - 1, 'WITHSCORES')[2]
  local full = ranked and math.min(ranked + 0, now) + seconds - now or 0
  if full > wait then wait, reason = full, i end
end
if wait > 0 then
  if not bulk and reason > 0 then redis.call('SET', KEYS[2 * reason + 1], 1, 'PX', math.ceil((wait + grace) / 1000)) end
  return {wait, reason, users, math.floor(part * 1000000)}
end
for i = 1, 2 do
  redis.call('ZADD', KEYS[2 * i], now + lease, slot)
  redis.call('PEXPIRE', KEYS[2 * i], keep)
end
return {0, 0, users, 0}
"""
_ANSWER = """
local time = redis.call('TIME')
for i = 1, 2 do
  redis.call('ZADD', KEYS[i], time[1] * 1000000 + time[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
"""
_HOLD = """
if redis.call('PTTL', KEYS[1]) < ARGV[1] + 0 then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local burst, rate, keep = ARGV[2] + 0, ARGV[3] + 0, ARGV[4]
local part, pace = 1, redis.call('HMGET', KEYS[2], 'part', 'since')
if pace[1] then
  if now >= pace[2] + 0 and now - pace[2] < burst then return end
  part = math.min(1, pace[1] + rate * math.max(0, now - pace[2]))
end
redis.call('HSET', KEYS[2], 'part', part / 2, 'since', now)
redis.call('PEXPIRE', KEYS[2], keep)
"""


class RedisStore(SharedStore):
    """
    Slots in Redis, for every machine that reaches it.

    :param url: ``redis://`` or ``rediss://``; it never shows, because it may hold a password
    :param account: digest of the account, part of the keys
    :param machine: names the machine, so that Redis can tell how many use it
    :param share: share of the limits that those who use this Redis may take together
    :raises AirflowOptionalProviderFeatureException: if the package ``redis`` is missing
    """

    def __init__(self, url: str, account: str, limits: Limits, *, machine: str = "", share: float = 1.0) -> None:
        try:
            from redis import RedisError
        except ImportError as error:
            msg = "A budget in Redis needs the extra 'redis': pip install 'airflow-provider-wtschat[redis]'."
            raise AirflowOptionalProviderFeatureException(msg) from error
        self._errors = (RedisError, OSError)
        self._url = url
        self._limits = limits
        self._machine = machine
        self._share = share
        self._account = account
        self._prefix = f"{_PREFIX}:{{{account}}}"
        self._keep = int((limits.longest + limits.lease) * 1000)
        self._connect()

    def describe(self) -> str:
        """Return who shares the budget."""
        parts = urlsplit(self._url)
        return f"shared through Redis ({parts.hostname or 'localhost'}:{parts.port or 6379}){of_limits(self._share)}"

    def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
        """Take a slot, or return why there is none."""
        windows = self._limits.of(send)
        share = self._share * (1.0 if bulk_share is None else bulk_share)
        keys = [self._key("hold")]
        arguments: list[int | float | str] = [
            _member(slot),
            int(bulk_share is not None),
            *(int(seconds * 1e6) for seconds in (self._limits.lease, CLOCK_SLACK, GRACE)),
            self._keep,
        ]
        for name, window in windows:
            keys += [self._key(name), self._key(f"{name}:pause")]
            arguments += [window.limit, int(window.seconds * 1e6)]
        keys += [self._key("pace"), self._key("users")]
        arguments += [share, self._recovery, self._machine]
        wait, reason, self.users, part = self._call(self._take, keys, arguments)
        if not wait:
            return None
        share *= part / 1e6
        reasons = (HELD, *(is_full(window, share) for _, window in windows), YIELDING)
        return Refusal(wait / 1e6, reasons[reason])

    def answer(self, slot: int, *, send: bool) -> None:
        """Note that the answer has arrived."""
        self._call(self._answer, [self._key(name) for name, _ in self._limits.of(send)], [_member(slot), self._keep])

    def hold(self, seconds: float) -> None:
        """Refuse slots to everybody for a while, and halve the pace."""
        # When it has grown back it need not be kept.
        recovered = int(self._limits.read.seconds / RECOVERY * 1000)
        arguments = [max(1, int(seconds * 1000)), int(self._limits.burst.seconds * 1e6), self._recovery, recovered]
        self._call(self._hold, [self._key("hold"), self._key("pace")], arguments)

    def note_name(self, name: str) -> None:
        """Remember a connection of the account."""

        def remember() -> None:
            with self._client.pipeline(transaction=False) as journey:
                journey.sadd(_ACCOUNTS, self._account)
                journey.zadd(self._key("names"), {name: time.time()})
                journey.expire(self._key("names"), int(NAMES_KEPT))
                journey.execute()

        self._guarded(remember)

    def accounts(self) -> list[str]:
        """Return the digests of all accounts that are counted here."""
        found: Any = self._guarded(lambda: self._client.smembers(_ACCOUNTS))
        return sorted(account.decode() for account in found)

    def usage(self) -> Usage:
        """Return what is used now, without taking part."""

        def look() -> list[Any]:
            with self._client.pipeline(transaction=False) as journey:
                journey.time()
                for name in ("read", "send"):
                    journey.zrange(self._key(name), 0, -1, withscores=True)
                journey.pttl(self._key("hold"))
                journey.hmget(self._key("pace"), "part", "since")
                journey.zrangebyscore(self._key("names"), time.time() - NAMES_KEPT, "+inf")
                return list(journey.execute())

        (seconds, microseconds), reads, sends, held, (part, since), names = self._guarded(look)
        now = seconds + microseconds / 1e6
        pace = Pace() if part is None else Pace(float(part), float(since) / 1e6)
        taken = (
            Taken(send, member.decode().partition(" ")[2], answered / 1e6)
            for send, members in ((False, reads), (True, sends))
            for member, answered in members
        )
        windows, users = count(taken, now, self._limits, self._share * pace.at(now, self._limits))
        return Usage(
            names=tuple(sorted(name.decode() for name in names)),
            windows=windows,
            held=max(0, held) / 1000,
            users=users,
        )

    def after_fork(self) -> None:
        """Leave the parent's connections alone, in a forked child."""
        self._connect()

    @property
    def _recovery(self) -> float:
        return RECOVERY / (self._limits.read.seconds * 1e6)

    def _connect(self) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        client: Redis = Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._client = client
        self._take = client.register_script(_TAKE)
        self._answer = client.register_script(_ANSWER)
        self._hold = client.register_script(_HOLD)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _call(self, script: Callable[..., Any], keys: list[str], arguments: Sequence[int | float | str]) -> Any:
        return self._guarded(lambda: script(keys=keys, args=arguments))

    def _guarded(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except self._errors as error:
            msg = f"{self.describe()}: {error}"
            raise StoreError(msg) from error


def _member(slot: int) -> str:
    """Write a slot into a window, with who took it."""
    return f"{slot} {current_user()}"
