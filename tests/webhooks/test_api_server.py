"""The receiver in Airflow's own API server, on every release series that has plugins for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_wtschat.demo._airflow import Processes
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from scripts.local import AIRFLOW, ROOT, fetch, free_port, serving_environment, wait_for
from tests.conftest import AIRFLOW_2, new_metadata_database
from tests.webhooks.test_inbox import numbers
from tests.webhooks.test_receiver import BAD, CONN_ID, SECRETS, body, path

USERS = {"viewer": "viewer", "nobody": ""}
PERSONAL = ("Maria da Silva", "11900000001")


def send(url: str, content: bytes | None, method: str = "POST") -> int:
    request = urllib.request.Request(url, content, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def check_who_sees_the_page(url: str) -> None:
    with urllib.request.urlopen(f"{url}/wtschat/page/", timeout=60) as answer:
        assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
        content = answer.read().decode()
        files = ["page.js", "page.css", "icon.svg"]
        assert [
            name for name in files if name not in content or send(f"{url}/wtschat/page/{name}", None, "GET") != 200
        ] == []
        assert [word for word in ("style=", "<script>", "onclick") if word in content] == []
    seen = {}
    for name in (None, *USERS):
        request = urllib.request.Request(f"{url}/wtschat/page/state")
        if name is not None:
            login = urllib.request.Request(
                f"{url}/auth/token",
                json.dumps({"username": name, "password": name}).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(login, timeout=60) as answer:
                request.add_header("authorization", f"Bearer {json.load(answer)['access_token']}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                seen[name] = json.load(answer)
        except urllib.error.HTTPError as error:
            seen[name] = error.code
    assert seen.pop(None) == 401
    assert seen.pop("nobody") == 403
    assert [connection["connection"] for connection in seen["viewer"]["webhooks"]["connections"]] == [CONN_ID]


@pytest.mark.airflow
@pytest.mark.skipif(AIRFLOW_2, reason="the plugins of Airflow 2 have no ASGI applications")
def test_the_api_server_takes_posts_and_no_log_shows_their_secret(tmp_path: Path) -> None:
    home, logs = tmp_path / "home", tmp_path / "logs"
    (home / "plugins").mkdir(parents=True)
    logs.mkdir()
    # As the entry point does where the package is installed.
    (home / "plugins" / "receiver.py").write_text(
        "from airflow_provider_wtschat.webhooks.plugin import WtsChatPlugin as Plugin\n"
    )
    # Below a path, which a proxy in front of it may have taken away.
    port = free_port()
    url = f"http://127.0.0.1:{port}/airflow"
    environment = serving_environment(
        home,
        port,
        AIRFLOW__API__BASE_URL=url,
        PYTHONPATH=str(ROOT),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(home / "plugins"),
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=",".join(f"{name}:{role}" for name, role in USERS.items()),
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(tmp_path / "passwords.json"),
        AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
        AIRFLOW__WTSCHAT__WEBHOOK_SECRET=",".join(SECRETS),
        AIRFLOW__WTSCHAT__WEBHOOK_INBOX=str(tmp_path / "inbox"),
    )
    (tmp_path / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
    new_metadata_database(home / "airflow.db")
    with Processes(environment, logs) as processes:
        processes.start("api-server", *AIRFLOW, "api-server")
        wait_for(lambda: fetch(f"{url}/api/v2/version"), "The API server", processes, 180)
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda number: send(url + path(), body(number)), range(49))) == {200}
        assert send(url.removesuffix("/airflow") + path(), body(49)) == 200
        assert send(f"{url}{path()}?again={webhook_address.token(SECRETS[0], CONN_ID)}", body(1)) == 200
        for status, method, where, content in BAD.values():
            if where.startswith("/wtschat/webhooks/w"):
                assert send(url + where, content, method) == status
        if hasattr(AirflowPlugin, "external_views"):
            check_who_sees_the_page(url)
        else:
            with urllib.request.urlopen(f"{url}/wtschat/page/", timeout=60) as answer:
                assert b"page.js" not in answer.read()
        # Meanwhile the rest of the server is as it was.
        assert fetch(f"{url}/api/v2/version")
    assert sorted(numbers(get_inbox(str(tmp_path / "inbox")), CONN_ID)) == list(range(50))
    shown = "\n".join(file.read_text(errors="replace") for file in logs.iterdir())
    assert "/api/v2/version" in shown, "the server does not log at all"
    # Up to Airflow 3.1 the HTTP server itself logs; from then on a middleware, which posts do not come to.
    server_logs = find_spec("airflow.api_fastapi.common.http_access_log") is None
    assert ("/wtschat/webhooks/" in shown) == server_logs
    secrets = [webhook_address.token(secret, each) for secret in SECRETS for each in (CONN_ID, "other")]
    assert [word for word in (*secrets, *SECRETS, *PERSONAL) if word in shown] == []
    stored = b"".join(file.read_bytes() for file in home.glob("*.db*"))
    assert [word for word in (*secrets, *PERSONAL) if word.encode() in stored] == []
    assert json.loads(body(1))["content"]["name"] in PERSONAL
