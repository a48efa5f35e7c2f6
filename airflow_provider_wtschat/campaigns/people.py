"""People as campaigns know them: which numbers are one person, what stands for one in a table, and who is left out."""

from __future__ import annotations

import hmac
import math
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_wtschat.api import contacts, instants, phones, tags
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.exchange import Exchange, call, pages
from airflow_provider_wtschat.api.types import Contact, ContactStatus
from airflow_provider_wtschat.campaigns.table import CLOCKS, make
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatNotFoundError
from airflow_provider_wtschat.sql.database import Database
from airflow_provider_wtschat.sql.sources import DbApiHook, checked_name, connection_id, read_query

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

T = TypeVar("T")

DEFAULT_TABLE = "wtschat_suppression"
REFRESH_EVERY = 900.0
"""Seconds after which a dispatch asks again who is to be left out."""
MOST_IDS = 1000
"""Most contact ids in ``exclude_sql``: each takes a request."""

_SALT = "salt"
"""Stands in place of a person in the row that holds the salt."""
_NEVER_AGAIN = re.compile(r"(?<!\d)(131026|131050)(?!\d)")
"""Meta's codes for a number that is not on WhatsApp, and for somebody who wants no more marketing messages."""

_COLUMNS = {
    "person": "VARCHAR(64) NOT NULL PRIMARY KEY",
    "reason": "VARCHAR(200) NOT NULL",
    "source": "VARCHAR(40) NOT NULL",
    "since": "VARCHAR(30) NOT NULL",
}


def person(phone: str) -> str:
    """Return what the numbers of one person have in common, of a number such as ``+5511900000001``."""
    return phones.without_ninth_digit(phone)


def spellings(who: str) -> list[str]:
    """Return the numbers of a person (see :func:`person`) as a table may hold them."""
    numbers = dict.fromkeys((who, phones.with_ninth_digit(who)))
    # Earlier versions left out the plus sign.
    return [*numbers, *(number.removeprefix("+") for number in numbers)]


def says_never_again(told: object) -> bool:
    """Return whether a failure means that a person is not to be written to any more."""
    return _NEVER_AGAIN.search(str(told or "")) is not None


class SuppressionTable:
    """
    The table of people who are never written to, whatever the campaign.

    It holds no numbers: a person stands in it as a digest, made with a secret of the table's own, so that it is of no
    use but to recognise a number that one has already.
    """

    def __init__(self, hook: DbApiHook, table: str = DEFAULT_TABLE) -> None:
        self.table = checked_name("suppression_table", table)
        self._database = Database(hook, f"suppression_table: {self.table} of the connection {connection_id(hook)!r}")
        self._salt: bytes | None = None

    def create(self) -> None:
        """Make the table where it is missing."""
        make(self._database, self.table, _COLUMNS)
        if not self._entries([_SALT]):
            self._insert([(_SALT, secrets.token_hex(32), "salt")])

    def pseudonym(self, who: str) -> str:
        """Return what stands for a person (see :func:`person`) in tables."""
        if self._salt is None:
            self._salt = bytes.fromhex(self._entries([_SALT])[_SALT])
        return hmac.digest(self._salt, who.encode(), "sha256").hex()

    def reasons(self, pseudonyms: Sequence[str]) -> dict[str, str]:
        """
        Look people up.

        :return: why they are not written to, by pseudonym, for those who are not
        """
        return self._entries(pseudonyms) if pseudonyms else {}

    def add(self, people: Mapping[str, str], source: str) -> int:
        """
        Let people never be written to again. Who is there already stays as is.

        :param people: the reason, by what stands for the person
        :param source: who says so, such as ``opt-out``
        :return: how many are new
        """
        known = self.reasons(list(people))
        new = [(who, reason[:200], source) for who, reason in people.items() if who not in known]
        if new:
            self._insert(new)
        return len(new)

    def told_by(self, source: str, pseudonyms: Sequence[str]) -> list[str]:
        """Return those of some people who came into the table from a source."""
        sql = f"SELECT person FROM {self.table} WHERE source = ? AND person IN ({{many}})"  # noqa: S608  # checked
        return [str(who) for (who,) in self._database.query(sql, source, many=pseudonyms)] if pseudonyms else []

    def tell(self, pseudonym: str, source: str) -> None:
        """Note another source for a person."""
        sql = f"UPDATE {self.table} SET source = ? WHERE person = ?"  # noqa: S608  # checked
        self._database.change(sql, source, pseudonym)

    def remove(self, pseudonym: str) -> int:
        """
        Forget a person.

        :return: how many rows there were
        """
        found = len(self.reasons([pseudonym]))
        self._database.change(f"DELETE FROM {self.table} WHERE person = ?", pseudonym)  # noqa: S608  # checked
        return found

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        self._database.close()

    def _entries(self, people: Sequence[str]) -> dict[str, str]:
        sql = f"SELECT person, reason FROM {self.table} WHERE person IN ({{many}})"  # noqa: S608  # checked
        return {str(who): str(reason) for who, reason in self._database.query(sql, many=people)}

    def _insert(self, rows: Sequence[tuple[str, str, str]]) -> None:
        now = instants.write(datetime.now(UTC))
        sql = f"INSERT INTO {self.table} (person, reason, source, since) VALUES (?, ?, ?, ?)"  # noqa: S608  # checked
        for row in rows:
            try:
                self._database.change(sql, *row, now)
            except WtsChatError:
                # Another worker may have been quicker.
                if not self._entries([row[0]]):
                    raise


@dataclass(frozen=True, kw_only=True)
class Exclusions:
    """
    Who is left out of a campaign, beside the people of the suppression table.

    :param sql: query whose first column holds phone numbers or contact ids
    :param blocked: whether contacts who are blocked or archived are left out
    :param listed: whether the people of the suppression table are left out
    :param country: calling code of a number written without one
    """

    sql: str | None = None
    tags: Sequence[str] = ()
    blocked: bool = True
    listed: bool = True
    country: str = phones.DEFAULT_COUNTRY


class Suppression:
    """
    Who is not to be written to: a local copy on disk, which is read in lists and brought up to date every 15 minutes.

    :param exclusions: who is left out
    :param table: the table of people who are never written to
    :param source: returns the hook of the database that ``exclude_sql`` is asked of
    """

    def __init__(
        self, exclusions: Exclusions, table: SuppressionTable, *, hook: WtsChatHook, source: Callable[[], DbApiHook]
    ) -> None:
        self._exclusions = exclusions
        self._table = table
        self._hook = hook
        self._source = source
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE excluded (person TEXT PRIMARY KEY, reason TEXT)")
        self._read_at: datetime | None = None
        self._tagged: dict[tuple[str, ContactStatus], int | None] = {}
        self._due = 0.0

    def close(self) -> None:
        """Forget the copy."""
        self._rows.close()

    def refresh(self) -> None:
        """
        Read who is left out, if that has not been done for a while.

        :raises WtsChatError: if it cannot be read; then nobody may be written to
        """
        if time.monotonic() < self._due:
            return
        started = datetime.now(UTC)
        if self._exclusions.sql is not None:
            self._keep(self._queried(self._exclusions.sql), "exclude_sql names this recipient")
        statuses = (ContactStatus.BLOCKED, ContactStatus.ARCHIVED)
        since = None if self._read_at is None else self._read_at - CLOCKS
        if self._exclusions.blocked:
            for status in statuses:
                listing = contacts.list_(status=status.value, updated_after=since)
                self._read_contacts(pages(listing, partial(self._keep_contacts, f"{status.value} contact")))
        for tag, tag_id in self._tag_ids().items():
            # Those of another status are left out anyway, unless the user wants them.
            for wanted in (ContactStatus.ACTIVE, *(() if self._exclusions.blocked else statuses)):
                self._read_tagged(tag, tag_id, wanted, since)
        self._read_at = started
        self._due = time.monotonic() + REFRESH_EVERY

    def _read_tagged(self, tag: str, tag_id: str, status: ContactStatus, since: datetime | None) -> None:
        """Read who has a tag; all of them if their number has changed, since a tag may leave ``updatedAt`` as it is."""
        everybody = contacts.filter(status=status.value, tag_ids=[tag_id])
        number = self._read_contacts(call(everybody.page(1, 1))).get("totalItems")
        if number is not None and number == self._tagged.get((tag_id, status)):
            everybody = contacts.filter(status=status.value, tag_ids=[tag_id], updated_after=since)
        self._read_contacts(pages(everybody, partial(self._keep_contacts, f"contact with the tag {tag!r}")))
        self._tagged[tag_id, status] = number

    def reasons(self, people: Mapping[str, str]) -> dict[str, str]:
        """
        Look people up.

        :param people: what stands for them in tables, by person
        :return: why they are left out, by person, for those who are
        """
        names = list(people)
        marks = ", ".join("?" * len(names))
        found = dict(self._rows.execute(f"SELECT person, reason FROM excluded WHERE person IN ({marks})", names))  # noqa: S608
        if self._exclusions.listed:
            listed = self._table.reasons(list(people.values()))
            found |= {who: listed[mark] for who, mark in people.items() if mark in listed and who not in found}
        return found

    def _keep(self, people: Iterable[str], reason: str) -> None:
        self._rows.executemany("INSERT OR IGNORE INTO excluded VALUES (?, ?)", ((who, reason) for who in people))

    def _keep_contacts(self, reason: str, page: list[Contact]) -> None:
        self._keep([who for who in map(_person_of, page) if who is not None], reason)

    def _tag_ids(self) -> dict[str, str]:
        if not self._exclusions.tags:
            return {}
        known = {str(tag["name"]): str(tag["id"]) for tag in self._read_contacts(call(tags.list_()))}
        # The API takes an unknown name for no filter, or for nobody.
        if unknown := [tag for tag in self._exclusions.tags if tag not in known]:
            raise WtsChatArgumentError("exclude_tags", f"the account has no tag {unknown[0]!r}")
        return {tag: known[tag] for tag in self._exclusions.tags}

    def _read_contacts(self, exchange: Exchange[T]) -> T:
        try:
            return self._hook.perform(exchange, bulk=True)
        except WtsChatError as error:
            msg = (
                "include_blocked, exclude_tags: the contacts who must not be written to cannot be read, so nobody is "
                f"written to. {error}"
            )
            raise error.retold(msg, type(error)) from error

    def _queried(self, sql: str) -> Iterable[str]:
        ids: list[str] = []
        # Without a name the reader ends, and lets go of the database, as soon as a row is refused.
        for line, (value, *_) in enumerate(
            (row for _, rows in read_query(self._source(), "exclude_sql", sql) for row in rows), start=1
        ):
            found = self._excluded(line, value)
            if found is not None and found.startswith("+"):
                yield person(found)
            elif found is not None:
                ids.append(found)
        if len(ids) > MOST_IDS:
            msg = f"it gives {len(ids)} contact ids, and at most {MOST_IDS} may be; let it give phone numbers"
            raise WtsChatArgumentError("exclude_sql", msg)
        yield from self._hook.perform(_people_of(ids), bulk=True)

    def _excluded(self, line: int, value: Any) -> str | None:
        """Return a number in international form, or the id of a contact."""
        text = as_text(value)
        if not text:
            return None
        try:
            found = str(convert.address("exclude_sql", text, self._exclusions.country, ids=True))
        except WtsChatArgumentError:
            # Who asked not to be written to, and is misspelt here, must not be written to either.
            msg = f"row {line} has neither a phone number nor a contact id in its first column"
            raise WtsChatArgumentError("exclude_sql", msg) from None
        return f"+{found}" if found.isdigit() else found


def _person_of(contact: Contact) -> str | None:
    number = contact.get("phoneNumber")
    try:
        return None if not number else person("+" + phones.digits("phoneNumber", number))
    except WtsChatArgumentError:
        return None


def _people_of(ids: Sequence[str]) -> Exchange[list[str]]:
    found = []
    for contact_id in ids:
        try:
            who = _person_of((yield from call(contacts.get(contact_id))))
        except WtsChatNotFoundError:
            continue
        if who is not None:
            found.append(who)
    return found


def as_text(value: Any) -> str:
    """Write a key or a phone number, which a column may hold as text or as a number of any kind."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    return "" if value is None else str(value).strip()
