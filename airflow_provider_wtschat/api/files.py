"""Files: uploading what messages carry."""

from __future__ import annotations

import mimetypes
from urllib.parse import urlsplit

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import FileType, SavedFile, UploadUrl

__all__ = ["get_upload_url", "media_type", "save"]


def media_type(address: str) -> str | None:
    """
    Guess the media type of a file by its extension.

    :param address: path or URL of the file; what follows ``?`` in a URL, such as a signature, does not count
    :return: such as ``image/png``; ``None`` if the extension says nothing
    """
    pieces = urlsplit(address)
    return mimetypes.guess_type(pieces.path if pieces.scheme in ("http", "https") else address)[0]


def get_upload_url(
    *, name: str, file_type: str = FileType.UNDEFINED.value, mime_type: str | None = None
) -> Request[UploadUrl]:
    """
    Get the URL to upload a file to: ``GET /core/v2/file``.

    The content goes to ``urlUpload`` by PUT and **without** the API's token; then :func:`save` makes it a file.

    :param name: name of the file with its extension
    :param file_type: ``PDF``, ``EXCEL``, ``WORD``, ``IMAGE``, ``AUDIO``, ``VIDEO``, ``DOCUMENT`` (kept as it is, while
        images and videos are transformed) or ``UNDEFINED``. Default: ``UNDEFINED``, by which the API finds out
    :param mime_type: media type. Default of the API: from type or extension
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/core/v2/file",
        UploadUrl,
        Type=convert.choice("file_type", convert.required("file_type", file_type), FileType),
        Name=convert.required_text("name", name),
        MimeType=convert.text("mime_type", mime_type),
    )


def save(temp_file_id: str) -> Request[SavedFile]:
    """
    Save an uploaded file, whose id messages can name then: ``POST /core/v2/file``.

    :param temp_file_id: ``tempFileId`` of :func:`get_upload_url`
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.post(
        "/core/v2/file",
        SavedFile,
        body={"tempFileId": convert.required_uuid("temp_file_id", temp_file_id)},
        # At worst the same content is there under two ids, one of which no message names.
        safe_to_repeat=True,
    )
