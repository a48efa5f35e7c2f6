"""Files: an address to upload to, and what was uploaded."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error, not_found
from airflow_provider_wtschat.simulator.routes.call import Call, handles

UPLOADS = "/uploads/"
FILES = "/files/"

_KINDS = {"image": "IMAGE", "audio": "AUDIO", "video": "VIDEO"}


@handles("GET /core/v2/file")
def get_upload_url(call: Call) -> Any:
    """Give an address to PUT the content to."""
    world, query = call.world, call.query
    name = PurePosixPath(query.get("Name"))
    mime = query.get("MimeType") or mimetypes.guess_type(name.name)[0] or "application/octet-stream"
    kind = query.get("Type")
    if kind == "UNDEFINED":
        kind = "PDF" if mime == "application/pdf" else _KINDS.get(mime.partition("/")[0], "DOCUMENT")
    upload_id = world.new_id()
    world.uploads[upload_id] = {"name": name.stem, "extension": name.suffix, "mimeType": mime, "type": kind}
    return {"tempFileId": upload_id, "urlUpload": f"{world.base_url}{UPLOADS}{upload_id}?signature=simulated"}


@handles("POST /core/v2/file")
def save_file(call: Call) -> Any:
    """Keep what was uploaded."""
    world = call.world
    upload_id = call.body["tempFileId"].lower()
    upload = world.uploads.get(upload_id)
    if upload is None:
        raise not_found("Arquivo não encontrado")
    if "_bytes" not in upload:
        raise form_error("O conteúdo do arquivo ainda não foi enviado")
    del world.uploads[upload_id]
    row = world.record(
        world.files,
        companyId=world.company_id,
        userId=next(iter(world.agents))["userId"],
        key=f"files/{upload_id}{upload['extension']}",
        size=len(upload["_bytes"]),
        **upload,
    )
    call.touched(row.id)
    return views.file(row)
