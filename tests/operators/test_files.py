"""What a file is sent and uploaded as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.file import UploadFileOperator
from airflow_provider_wtschat.operators.message import SendFileOperator
from airflow_provider_wtschat.operators.session import SendSessionFileOperator
from tests.operators.account import Account
from tests.operators.conftest import Tries

PHONE = "+55 11 90000-0001"


@pytest.mark.parametrize(
    ("url", "operation"),
    [
        ("https://files.example.com/a.png?X-Amz-Signature=ab%2Fc&X-Amz-Date=20260901T083000Z", "image"),
        ("https://files.example.com/a.png#top", "image"),
        ("https://files.example.com/voice.ogg?sv=2026.pdf", "audio"),
        ("https://files.example.com/clip.MP4?token=x", "video"),
        ("https://files.example.com/report.pdf?name=a.png", "document"),
        ("https://files.example.com/download?file=a.png", "document"),
    ],
)
def test_the_path_of_a_url_tells_the_kind_and_not_its_signature(
    account: Account, once: Tries, url: str, operation: str
) -> None:
    once(SendFileOperator(task_id="send", to=PHONE, file_url=url))
    assert account.simulator.requests[-1].path == f"/chat/v1/send/{operation}"


@pytest.mark.parametrize(("given", "sent"), [({}, "UNDEFINED"), ({"file_type": "document"}, "DOCUMENT")])
@pytest.mark.parametrize("operator", [UploadFileOperator, SendSessionFileOperator])
def test_the_type_of_an_upload_reaches_the_api(
    account: Account, once: Tries, tmp_path: Path, operator: type, given: dict[str, Any], sent: str
) -> None:
    file = tmp_path / "plan.png"
    file.write_bytes(b"\x89PNG")
    session = {"session_id": account.session()} if operator is SendSessionFileOperator else {}
    once(operator(task_id="upload", file_path=str(file), **session, **given))
    asked = [request for request in account.simulator.requests if request.operation == "GET /core/v2/file"]
    assert dict(asked[-1].query)["Type"] == sent


@pytest.mark.parametrize(
    ("given", "said"),
    [({"file_type": "PICTURE"}, "^file_type: 'PICTURE'"), ({"file_type": "PDF"}, "^file_type: .*with file_path")],
)
def test_a_type_that_says_nothing_asks_nothing(account: Account, once: Tries, given: dict[str, Any], said: str) -> None:
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=said):
        once(SendFileOperator(task_id="send", to=PHONE, file_url="https://a.example/b.pdf", **given))
    assert account.requests == before
