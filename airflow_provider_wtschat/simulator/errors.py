"""What the API answers when it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from airflow_provider_wtschat.simulator.instants import instant_text

# The same status in the three spellings seen; which one comes is a matter of luck.
_STATUS_SPELLINGS: Mapping[int, tuple[int | str, ...]] = {
    400: (400, "BadRequest", "BADREQUEST"),
    401: (401,),
    403: (403, "Forbidden", "FORBIDDEN"),
    404: (404, "NotFound", "NOTFOUND"),
    500: ("InternalServerError", 500, "INTERNALSERVERERROR"),
}
_spelling = count()


class ApiError(Exception):
    """A refusal in the API's own words.

    :param key: e.g. ``FORM_ERROR``; None in a fault that is no business error.
    :param text: what people read.
    """

    def __init__(self, status: int, key: str | None, text: str | None) -> None:
        super().__init__(f"{status} {key}: {text}")
        self.status = status
        self.key = key
        self.text = text

    def body(self, now: int, error_id: str) -> dict[str, Any]:
        """Return the envelope."""
        spellings = _STATUS_SPELLINGS.get(self.status, (self.status,))
        return {
            "id": {"value": error_id, "shortValue": error_id[:8]},
            "httpStatusCode": spellings[next(_spelling) % len(spellings)],
            "version": None,
            "environment": None,
            "error": True,
            "date": instant_text(now),
            "key": self.key,
            "text": self.text,
            "isUnsolvableError": False,
            "details": None,
        }


class ProblemError(Exception):
    """A refusal in the form of RFC 7807.

    :param errors: what is wrong, by field.
    """

    def __init__(self, errors: Mapping[str, Sequence[str]], *, status: int = 400, title: str | None = None) -> None:
        self.status = status
        self.title = title or "One or more validation errors occurred."
        self.errors = errors
        super().__init__(f"{status} {self.title} {dict(errors)}")

    def body(self) -> dict[str, Any]:
        """Return the problem details."""
        return {
            "type": None,
            "title": self.title,
            "status": self.status,
            "detail": None,
            "errors": {name: list(texts) for name, texts in self.errors.items()},
        }


def unauthorized() -> ApiError:
    """A token that is wrong, revoked or without the permission: the API does not say which."""
    return ApiError(401, "ERROR_UNAUTHORIZED", "Acesso negado")


def form_error(text: str) -> ApiError:
    """Something in the request that only the business rules object to."""
    return ApiError(500, "FORM_ERROR", text)


def not_found(text: str) -> ApiError:
    """An unknown id; it comes as HTTP 500."""
    return ApiError(500, "ENTITY_NOT_FOUND", text)


def cannot_save(text: str) -> ApiError:
    """A change that is not possible in this state."""
    return ApiError(500, "ENTITY_ERROR_SAVE", text)


def session_not_found() -> ApiError:
    """An unknown session: the one case known to come as HTTP 404."""
    return ApiError(404, "ENTITY_NOT_FOUND", "Atendimento não encontrado")
