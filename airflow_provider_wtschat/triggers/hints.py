"""
Hints: what says that something changed, before the next reading of a list would show it.

A hint names ids and nothing else. It is never taken for the truth: whoever waits for one of the ids asks the API at
once. So a forged or repeated hint costs a request, and a lost one the time until the next reading.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from dataclasses import dataclass

HintSource = Callable[[str], AsyncGenerator[Collection["Hint"], None] | None]
"""
Follows what changes in the account of a connection: takes the id of the connection, and yields hints as they come. What
came before the call is left out. ``None`` if nothing tells of changes there.

It runs on the event loop of the triggerer, and must not block it. If it raises, or ends, it is begun again later.
"""


@dataclass(frozen=True, kw_only=True)
class Hint:
    """
    Something changed.

    :param session_id: id of the session, where it is about one
    :param message_id: id of the message, where it is about one
    :param card_id: id of the card, where it is about one
    :param contact_id: id of the contact, where it is about one
    :param event: type of the webhook event that told of it, such as ``SESSION_COMPLETE``. While events of a type come,
        whoever is told by them looks for itself less often. Default: none, and nobody does
    """

    session_id: str | None = None
    message_id: str | None = None
    card_id: str | None = None
    contact_id: str | None = None
    event: str | None = None

    def ids(self) -> Iterator[str]:
        """Return the ids, as conditions spell them."""
        for value in (self.session_id, self.message_id, self.card_id, self.contact_id):
            if value:
                yield value.lower()


_source: HintSource | None = None


def use_hints(source: HintSource | None) -> None:
    """
    Let the feeds that begin from now on follow a source of hints.

    :param source: the source, ``None`` for the inbox of webhooks, where this deployment has one
    """
    global _source
    _source = source


def hints_for(wtschat_conn_id: str) -> AsyncGenerator[Collection[Hint], None] | None:
    """
    Follow what changes in the account of a connection.

    :return: hints as they come, ``None`` if nothing tells of changes there
    """
    if _source is not None:
        return _source(wtschat_conn_id)
    from airflow_provider_wtschat.triggers.webhook_hints import follow_inbox

    return follow_inbox(wtschat_conn_id)
