"""Tags of contacts and their colours."""

from __future__ import annotations

import colorsys
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error
from airflow_provider_wtschat.simulator.records import Record
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, check_unique, handles

_NAME_TAKEN = "Já existe uma etiqueta com este nome"
_HUES = {
    "BROWN": 25,
    "PURPLE": 270,
    "PINK": 330,
    "RED": 0,
    "YELLOW": 50,
    "GREEN": 130,
    "BLUE": 220,
    "SKY": 195,
    "GRAY": None,
}


@handles("GET /core/v1/tag")
def list_tags(call: Call) -> Any:
    """List tags, all of them, without an envelope."""
    return [views.record(row) for row in call.world.tags]


@handles("POST /core/v1/tag")
def create_tag(call: Call) -> Any:
    """Create a tag."""
    world, body = call.world, call.body
    check_unique(world.tags, "name", body["name"], None, _NAME_TAKEN)
    row = world.record(world.tags, name=body["name"], color=body.get("color") or "GRAY_600")
    return _printed(call, row)


@handles("PUT /core/v1/tag/{id}")
def update_tag(call: Call) -> Any:
    """Update name and colour of a tag."""
    row, body = _tag(call), call.body
    check_unique(call.world.tags, "name", body["name"], row, _NAME_TAKEN)
    color = body.get("color") or row["color"]
    return _printed(call, call.world.change(call.world.tags, row, name=body["name"], color=color))


@handles("DELETE /core/v1/tag/{id}")
def delete_tag(call: Call) -> Any:
    """Delete a tag, one in use only if it may be taken off its contacts."""
    world, row = call.world, _tag(call)
    users = [contact for contact in world.contacts if row.id in contact.tag_ids]
    if users and not (call.body or {}).get("removeFromContacts"):
        raise form_error("A etiqueta está vinculada a contatos")
    for contact in users:
        world.change_contact(contact.id, tag_ids=tuple(tag_id for tag_id in contact.tag_ids if tag_id != row.id))
    world.tags.delete(row.id)
    call.touched(row.id)


@handles("GET /core/v1/tag/color")
def list_colors(call: Call) -> Any:
    """List the colours that tags may have."""
    return [
        {"color": f"{name}_{shade}", "bgColor": _hex(hue, shade), "textColor": "#000000" if shade < 400 else "#FFFFFF"}
        for name, hue in _HUES.items()
        for shade in range(100, 700, 100)
    ]


def _hex(hue: int | None, shade: int) -> str:
    lightness = 1 - shade / 800
    parts = colorsys.hls_to_rgb((hue or 0) / 360, lightness, 0.0 if hue is None else 0.6)
    return "#" + "".join(f"{round(part * 255):02X}" for part in parts)


def _tag(call: Call) -> Record:
    return by_id(call.world.tags, call.path["id"], "Etiqueta não encontrada")


def _printed(call: Call, row: Record) -> Any:
    call.touched(row.id)
    return views.record(row)
