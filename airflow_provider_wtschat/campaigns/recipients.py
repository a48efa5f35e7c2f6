"""The recipients of a dispatch: read from a query, checked, and kept on disk until they are planned."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.campaigns.people import as_text, person
from airflow_provider_wtschat.campaigns.table import LONGEST_NAME, Planned, Status
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.sql.sources import DbApiHook, read_query

_CHUNK = 1000
_SHOWN = 10
_CONTROL = "it is in the control group"
_SAME_RECIPIENT = "an earlier row has the same recipient"
_TABLE = (
    "CREATE TABLE recipient (row INTEGER PRIMARY KEY, key TEXT, phone TEXT, person TEXT, content TEXT, reason TEXT,"
    " status TEXT)"
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """
    What the columns of the query mean.

    :param recipient: column with the phone number
    :param key: column with the key of the row
    :param parameters: column by parameter of the template
    :param file: column with the file of the message, a public URL or the id of an uploaded one; ``None`` for none
    :param country: calling code of a phone number written without one
    """

    recipient: str
    key: str
    parameters: Mapping[str, str]
    file: str | None = None
    country: str = phones.DEFAULT_COUNTRY

    @property
    def columns(self) -> list[str]:
        """The columns that the query must have."""
        return [self.recipient, self.key, *self.parameters.values(), *([self.file] if self.file else [])]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """
    What a dispatch may be like.

    :param recipients: most recipients
    :param argument: the argument that says so
    :param invalid: most rows that cannot be sent
    :param duplicates: ``error``, ``skip`` or ``allow``: what a phone number means that came before
    """

    recipients: int
    argument: str
    invalid: int
    duplicates: str


class Recipients:
    """
    The rows of the query, in a temporary database on disk that vanishes with this process.

    So the source is read once and quickly, however long the checks and the plan take, and 100,000 rows take no more
    memory than 1,000.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute(_TABLE)

    def close(self) -> None:
        """Forget the rows."""
        self._rows.close()

    def read(
        self,
        hook: DbApiHook,
        sql: str,
        parameters: Any,
        layout: Layout,
        bounds: Bounds,
        known: Callable[[Sequence[str]], Collection[str]] = lambda keys: (),
    ) -> None:
        """
        Read the query and check its rows.

        :param parameters: its parameters, as the database's driver takes them
        :param known: returns those of some keys whose rows are passed over
        :raises WtsChatArgumentError: if they may not be sent; it names rows by their number, never by what they say
        :raises WtsChatError: if the database refuses the query
        """
        valid, start = 0, 1
        for names, given in read_query(hook, "sql", sql, parameters):
            places = _places(names, layout.columns)
            chunk = [{name: row[place] for name, place in places.items()} for row in given]
            keys = [as_text(row[layout.key]) for row in chunk]
            passed_over = set(known(keys))
            rows = [
                (line, *_row(line, key, row, layout))
                for line, (key, row) in enumerate(zip(keys, chunk, strict=True), start=start)
                if key not in passed_over
            ]
            valid += sum(row[-1] == Status.PLANNED for row in rows)
            if valid > bounds.recipients and bounds.duplicates != "skip":
                raise _too_many(bounds)
            self._rows.executemany("INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            start += len(chunk)
        self._check_keys()
        self._check_invalid(bounds.invalid)
        self._check_phones(bounds.duplicates)
        if self.count(Status.PLANNED) > bounds.recipients:
            raise _too_many(bounds)

    def count(self, status: Status) -> int:
        """Count the rows that are to be sent (``planned``), or are not for some reason."""
        ((number,),) = self._rows.execute("SELECT count(*) FROM recipient WHERE status = ?", (status,))
        return int(number)

    def suppress(self, reasons: Callable[[Sequence[str]], Mapping[str, str]]) -> None:
        """
        Leave people out.

        :param reasons: returns why people are left out, by person, for those who are
        """
        self._leave_out("person", reasons, Status.SUPPRESSED)

    def hold_out(self, share: float, name: str) -> int:
        """
        Keep a control group, who get no message: the same people at every try, by a digest of their keys.

        :param share: of the recipients, below 1
        :param name: makes the groups of campaigns differ
        :return: how many there are
        """
        self._leave_out(
            "key", lambda keys: {key: _CONTROL for key in keys if _draw(name, key) < share}, Status.HELD_OUT
        )
        return self.count(Status.HELD_OUT)

    def _leave_out(self, column: str, reasons: Callable[[Sequence[str]], Mapping[str, str]], status: Status) -> None:
        """Remove rows from those that are to be sent, for reasons by what a column holds."""
        after = 0
        while rows := self._rows.execute(
            f"SELECT row, {column} FROM recipient WHERE status = ? AND row > ? ORDER BY row LIMIT ?",  # noqa: S608  # ours
            (Status.PLANNED, after, _CHUNK),
        ).fetchall():
            found = reasons([value for _, value in rows])
            self._rows.executemany(
                "UPDATE recipient SET status = ?, reason = ?, phone = NULL, content = NULL WHERE row = ?",
                [(status, found[value], row) for row, value in rows if value in found],
            )
            after = rows[-1][0]

    def examples(self, number: int) -> list[dict[str, Any]]:
        """Read what the first messages say."""
        rows = self._rows.execute(
            "SELECT content FROM recipient WHERE status = ? ORDER BY row LIMIT ?", (Status.PLANNED, number)
        ).fetchall()
        return [json.loads(content) for (content,) in rows]

    def planned(self, pseudonym: Callable[[str], str]) -> Iterator[Planned]:
        """
        Read the rows in the order of the query, each time anew.

        :param pseudonym: returns what stands for a person in the table
        """
        columns = "key, phone, person, content, reason, status"
        with closing(self._rows.execute(f"SELECT {columns} FROM recipient ORDER BY row")) as cursor:  # noqa: S608  # ours
            for key, phone, who, content, reason, status in cursor:
                yield Planned(
                    key=key,
                    phone=phone,
                    content=content,
                    status=Status(status),
                    reason=reason,
                    person=None if who is None or phone is None else pseudonym(who),
                )

    def _check_keys(self) -> None:
        keys = self._rows.execute("SELECT min(row), max(row) FROM recipient GROUP BY key HAVING count(*) > 1 LIMIT 1")
        for first, last in keys:
            msg = f"rows {first} and {last} of the query have the same key; each row needs its own"
            raise WtsChatArgumentError("key_column", msg)

    def _check_invalid(self, most: int) -> None:
        number, shown = self._found("status = 'refused'")
        if number > most:
            msg = f"{number} rows of the query cannot be sent, and at most {most} may be left out; {shown}"
            raise WtsChatArgumentError("max_invalid", msg)

    def _check_phones(self, duplicates: str) -> None:
        if duplicates == "allow":
            return
        firsts = "SELECT min(row) FROM recipient WHERE status = 'planned' GROUP BY person"
        later = f"status = 'planned' AND row NOT IN ({firsts})"
        if duplicates == "skip":
            self._rows.execute(
                "UPDATE recipient SET status = ?, reason = ?, phone = NULL, person = NULL, content = NULL"  # noqa: S608
                f" WHERE {later}",
                (Status.REFUSED, _SAME_RECIPIENT),
            )
            return
        number, shown = self._found(later)
        if number:
            msg = (
                f"{number} rows of the query have the phone number of an earlier row ({shown}); filter them, or say "
                "'skip' or 'allow'"
            )
            raise WtsChatArgumentError("duplicate_recipients", msg)

    def _found(self, condition: str) -> tuple[int, str]:
        """Count rows, and say which are the first of them."""
        rows = self._rows.execute(
            f"SELECT row, reason, count(*) OVER () FROM recipient WHERE {condition} ORDER BY row LIMIT {_SHOWN}"  # noqa: S608
        ).fetchall()
        number = rows[0][2] if rows else 0
        shown = [f"row {row}: {reason}" if reason else f"row {row}" for row, reason, _ in rows]
        return number, ", ".join(shown) + (f" and {number - len(shown)} more" if number > len(shown) else "")


def _places(names: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    folded = [name.lower() for name in names]
    places = {}
    for column in columns:
        # Databases differ in the case that they give names in.
        found = [i for i, name in enumerate(names) if name == column] or [
            i for i, name in enumerate(folded) if name == column.lower()
        ]
        if len(found) != 1:
            number = "no column" if not found else f"{len(found)} columns"
            raise WtsChatArgumentError("sql", f"the query has {number} {column!r}; it has {', '.join(names)}")
        places[column] = found[0]
    return places


def _row(line: int, key: str, row: Mapping[str, Any], layout: Layout) -> tuple[str | None, ...]:
    """Check a row; what is returned are the columns of the temporary table behind its number."""
    if convert.is_nothing(key) or len(key) > LONGEST_NAME:
        msg = f"row {line} of the query has no key of 1 to {LONGEST_NAME} characters"
        raise WtsChatArgumentError("key_column", msg)
    reason = "no phone number"
    try:
        # With its plus sign it is international wherever it is parsed again, whatever its digits look like.
        phone = "+" + phones.digits(layout.recipient, as_text(row[layout.recipient]), layout.country)
        content: dict[str, Any] = {}
        for parameter, column in layout.parameters.items():
            reason = f"nothing to fill the parameter {parameter!r} with"
            value = convert.template_parameter(column, convert.plain(column, row[column]))
            content.setdefault("parameters", {})[parameter] = value
        if layout.file is not None:
            reason = "no file"
            content["file"] = convert.required(layout.file, convert.file(layout.file, row[layout.file]))
    except WtsChatArgumentError:
        return key, None, None, None, reason, Status.REFUSED
    return key, phone, person(phone), json.dumps(content, ensure_ascii=False), None, Status.PLANNED


def _draw(name: str, key: str) -> float:
    """Draw a number from 0 to 1, the same one each time for a key."""
    digest = hashlib.sha256(json.dumps([name, key]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _too_many(bounds: Bounds) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        bounds.argument, f"the query has more than {bounds.recipients} recipients; raise it if they are meant"
    )
