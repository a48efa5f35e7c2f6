"""Tags of contacts."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Tag, TagColor

__all__ = ["create", "delete", "list_", "list_colors", "update"]

_LONGEST_NAME = 255
_COLORS = frozenset(
    f"{hue}_{shade}"
    for hue in ("BROWN", "PURPLE", "PINK", "RED", "YELLOW", "GREEN", "BLUE", "SKY", "GRAY")
    for shade in range(100, 700, 100)
)


def list_() -> Request[list[Tag]]:
    """List the tags of the account: ``GET /core/v1/tag``."""
    return build.get("/core/v1/tag", list[Tag])


def list_colors() -> Request[list[TagColor]]:
    """List the colours that a tag can have: ``GET /core/v1/tag/color``."""
    return build.get("/core/v1/tag/color", list[TagColor])


def create(*, name: str, color: str | None = None) -> Request[Tag]:
    """
    Create a tag: ``POST /core/v1/tag``.

    :param name: name of the tag
    :param color: a colour such as ``BLUE_500``, see :func:`list_colors`. Default of the API: ``GRAY_600``
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.post("/core/v1/tag", Tag, body=_body(name, color), safe_to_repeat=False)


def update(tag_id: str, *, name: str, color: str | None = None) -> Request[Tag]:
    """
    Rename or recolour a tag: ``PUT /core/v1/tag/{id}``.

    :param tag_id: id of the tag
    :param name: name of the tag, which the API wants although only the colour may change
    :param color: a colour such as ``BLUE_500``, see :func:`list_colors`. Default: the tag's own
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.put("/core/v1/tag/{id}", Tag, _id(tag_id), body=_body(name, color))


def delete(tag_id: str, *, remove_from_contacts: bool | None = None) -> Request[None]:
    """
    Delete a tag: ``DELETE /core/v1/tag/{id}``.

    :param tag_id: id of the tag
    :param remove_from_contacts: take it from the contacts that have it, without which the API refuses to delete a tag
        in use. Default of the API: false
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.delete(
        "/core/v1/tag/{id}",
        type(None),
        _id(tag_id),
        body=convert.given(removeFromContacts=convert.boolean("remove_from_contacts", remove_from_contacts)),
    )


def _id(tag_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("tag_id", tag_id)}


def _body(name: Any, color: Any) -> dict[str, Any]:
    shade = None if color is None else str(color).strip().upper()
    if shade is not None and shade not in _COLORS:
        convert.refuse("color", color, f"one of {', '.join(sorted(_COLORS))} is wanted")
    return convert.given(
        name=convert.text("name", convert.required("name", name), max_length=_LONGEST_NAME), color=shade
    )
