"""Operators on files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import files
from airflow_provider_wtschat.api.types import FileType
from airflow_provider_wtschat.operators._arguments import OperatorArguments
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["UploadFileOperator"]


class UploadFileOperator(WtsChatBaseOperator):
    """
    Upload a file, so that messages and notes can carry it: ``POST /core/v2/file``.

    Asks for an address (``GET /core/v2/file``), puts the bytes there and saves the file. Returns the file; its ``id``
    goes into messages and notes.

    .. code-block:: python

        report = UploadFileOperator(task_id="upload", file_path="s3://aws_default@reports/july.pdf")

    :param file_path: path of a file on the worker, or on any object storage that Airflow knows, such as
        ``s3://conn@bucket/report.pdf`` (templated)
    :param file_name: name of the file with its extension (templated). Default: as in the path
    :param mime_type: MIME type (templated). Default: by the extension
    :param file_type: ``PDF``, ``EXCEL``, ``WORD``, ``IMAGE``, ``AUDIO``, ``VIDEO`` or ``DOCUMENT`` (templated); as a
        ``DOCUMENT`` an image or a video is kept as it is. Default: the API finds out
    """

    operation = staticmethod(files.save)

    def __init__(
        self,
        *,
        file_path: str,
        file_name: str | None = None,
        mime_type: str | None = None,
        file_type: str | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.file_path = file_path
        self.file_name = file_name
        self.mime_type = mime_type
        self.file_type = file_type

    def act(self, context: Context) -> Any:
        """
        Upload the file.

        :param context: context of the task
        :return: the file, as the API sent it
        """
        return self.hook.upload(
            convert.required_text("file_path", self.file_path),
            name=convert.text("file_name", self.file_name),
            mime_type=convert.text("mime_type", self.mime_type),
            file_type=convert.choice("file_type", self.file_type, FileType),
        )
