"""What type checkers, and so editors, know of the API and its hooks."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat.api import sends
from scripts import shown_code

ROOT = Path(__file__).parents[1]
# Each line that a checker has to refuse says so.
SNIPPET = """
from airflow_provider_wtschat.api import contacts, exchange, messages, phones, request, sends, sessions, types
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook

hook, async_hook = WtsChatHook(), WtsChatAsyncHook()

hook.run(sessions.list_())  # refused
hook.run(sessions.list_().page(1))["items"][0]["id"]
hook.run(sessions.get("x"))["id"]
hook.run(contacts.get("x"))["nme"]  # refused
exchange.call(sessions.list_())  # refused
hook.perform(exchange.call(sessions.get("x")))["id"]
hook.perform(exchange.rows(sessions.list_()))[0]["id"]
exchange.rows(sessions.get("x"))  # refused
for session in hook.iterate(sessions.list_()):
    session["id"]
hook.iterate(sessions.get("x"))  # refused
hook.iterate(sessions.list_().page(1))  # refused
sessions.list_(status=["OPEN"], stauts=["OPEN"])  # refused
sends.send_text(text="Oi", to="11 90000-0001", from_channel="11 3000-0001", enable_bot=True, delay_typing=2)
sends.send_text(text="Oi", too="11 90000-0001")  # refused
sends.send_text(to="11 90000-0001")  # refused
sends.send_template("x", to="1", from_channel="1", user_email="a@b.c", phone_country="1")
sends.send_template("x", to="1", from_channel="1", usre_email="a@b.c")  # refused
messages.send_sync(to="1", text="Oi", department_nmae="x")  # refused
sessions.send_message("x", text="Oi", txet="Oi")  # refused
phones.region("5511900000001").country
any_request: request.AnyRequest = sessions.list_()


async def asynchronous() -> None:
    await async_hook.run(sessions.list_())  # refused
    (await async_hook.run(sessions.get("x")))["id"]
    async for row in async_hook.iterate(sessions.list_()):
        row["id"]
    async_hook.iterate(sessions.get("x"))  # refused
"""
REFUSED = [number for number, line in enumerate(SNIPPET.splitlines(), start=1) if line.endswith("# refused")]


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is installed beside the newest release series only")
def test_mypy_refuses_what_cannot_work(tmp_path: Path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {int(line) for line in re.findall(r"snippet\.py:(\d+): error:", done.stdout)}
    assert sorted(found) == REFUSED, done.stdout


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is installed beside the newest release series only")
def test_pyright_refuses_what_cannot_work(tmp_path: Path):
    (tmp_path / "snippet.py").write_text(SNIPPET)
    settings = {
        "include": ["."],
        "extraPaths": [str(ROOT)],
        "reportUnusedExpression": "none",
        "reportUnusedCoroutine": "none",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    found = shown_code.pyright(tmp_path)
    assert sorted({one.line for one in found}) == REFUSED, found


@pytest.mark.parametrize("send", [sends.send_text, sends.send_image, sends.send_audio, sends.send_video])
def test_a_misspelt_argument_of_a_send_is_a_type_error(send: Callable[..., Any]):
    content = {name: "https://example.com/a" for name in inspect.signature(send).parameters if name in ("text", "file")}
    with pytest.raises(TypeError, match="unexpected keyword argument 'too'"):
        send(**content, too="11 90000-0001")
    assert list(inspect.signature(send).parameters)[-1] == "phone_country"


def test_blocks_of_a_page_keep_their_lines(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nfirst()\n```\n\n```sql\nSELECT\n```\n```python\nsecond()\nthird()\n```\n")
    assert list(shown_code.blocks(page)) == [(4, "first()\n"), (11, "second()\nthird()\n")]
