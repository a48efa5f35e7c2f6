"""Tokens, limits, faults: what happens around the work itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from airflow_provider_wtschat.simulator import FAULTS, ContractBroken, Simulator, limits
from airflow_provider_wtschat.simulator.limits import SlidingWindow
from tests.simulator.conftest import Client

Start = Callable[..., Client]


# Tokens and refusals


@pytest.mark.parametrize("spelling", ["Bearer pn_simulator", "pn_simulator"])
def test_a_token_with_and_without_bearer(api: Client, spelling: str) -> None:
    assert api.send("GET", "/core/v1/tag", headers={"Authorization": spelling}).status_code == 200


@pytest.mark.parametrize("header", ["Bearer pn_other", "", "Bearer "])
def test_a_wrong_token(api: Client, header: str) -> None:
    refused = api.send("GET", "/core/v1/tag", headers={"Authorization": header})
    assert refused.status_code == 401
    body = refused.json()
    assert (body["key"], body["text"], body["httpStatusCode"], body["error"]) == (
        "ERROR_UNAUTHORIZED",
        "Acesso negado",
        401,
        True,
    )
    assert body["id"]["value"].startswith(body["id"]["shortValue"])


def test_a_token_may_lack_a_service_and_may_be_revoked(start: Start) -> None:
    api = start(scopes=("crm",))
    assert api.refused("GET", "/chat/v2/session") == (401, "ERROR_UNAUTHORIZED")
    assert api.send("GET", "/crm/v2/panel").status_code == 200
    api.sim.world.token = None
    assert api.refused("GET", "/crm/v2/panel") == (401, "ERROR_UNAUTHORIZED")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/session", 400),
        ("GET", "/chat/v9/session", 404),
        ("POST", "/chat/v2/session", 405),
        ("GET", "/chat/v2/session/none", 400),
    ],
)
def test_paths_that_do_not_exist(api: Client, method: str, path: str, status: int) -> None:
    refused = api.send(method, path)
    assert refused.status_code == status
    if path == "/v2/session":
        assert refused.json()["key"] == "badrequest"
    assert [violation.where for violation in api.sim.violations] == ["path"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"newStatus": "OPEN"}}, 400),
        ({"json": {}}, 400),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b'{"newStatus": "PENDING"}', "headers": {"Content-Type": "text/plain"}}, 415),
        ({}, 400),
    ],
)
def test_wrong_bodies_are_refused_with_problem_details(api: Client, sent: dict[str, Any], status: int) -> None:
    session = api.sim.world.create_session()
    url = f"{api.sim.url}/chat/v1/session/{session.id}/status"
    refused = api.http.put(url, timeout=10, **sent)
    assert (refused.status_code, refused.json()["status"]) == (status, status)
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert api.sim.violations
    assert api.sim.books == []


@pytest.mark.parametrize("zone", [" 00:00", "+99:00"])
def test_wrong_values_in_a_query_are_refused_with_problem_details(api: Client, zone: str) -> None:
    refused = api.send("GET", "/chat/v2/session", {"UpdatedAt.After": f"2026-01-01T00:00:00{zone}"})
    assert refused.status_code == 400
    assert set(refused.json()["errors"]) == {"UpdatedAt.After"}
    assert set(api.send("GET", "/crm/v2/panel/card").json()["errors"]) == {"PanelId"}


def test_the_status_in_an_envelope_is_spelled_in_several_ways(api: Client) -> None:
    path = "/core/v1/contact/phonenumber/5511900000009"
    assert {api.send("GET", path).json()["httpStatusCode"] for _ in range(6)} == {
        500,
        "InternalServerError",
        "INTERNALSERVERERROR",
    }


def test_the_date_header_is_the_servers_time(start: Start) -> None:
    api = start(clock_skew_s=3600)
    ahead = parsedate_to_datetime(api.send("GET", "/core/v1/tag").headers["Date"]).timestamp() - time.time()
    assert 3590 < ahead < 3610
    session = api.sim.world.create_session()
    assert session.created / 1_000_000 - time.time() == pytest.approx(3600, abs=10)
    api.sim.world.clock.advance(86_400)
    ahead = parsedate_to_datetime(api.send("GET", "/core/v1/tag").headers["Date"]).timestamp() - time.time()
    assert ahead > 86_400


def test_the_preview_of_a_session_is_a_page(api: Client) -> None:
    row = api.get("/chat/v2/session", PageSize=1)["items"][0]
    assert row["number"] in requests.get(row["previewUrl"], timeout=10).text


# Limits


def test_requests_past_the_burst_are_turned_away_until_it_has_passed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: now))
    api = start(limits={"burst": (5, 0.4)}, retry_after="always")
    statuses = [api.send("GET", "/core/v1/tag").status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    assert [entry.status for entry in api.sim.requests] == statuses
    assert int(api.send("GET", "/core/v1/tag").headers["Retry-After"]) == 1
    now = 0.45
    assert api.send("GET", "/core/v1/tag").status_code == 200


def test_sends_have_a_limit_of_their_own(start: Start) -> None:
    api = start(limits={"burst": (3, 60), "send": (2, 60)})
    session = api.sim.world.create_session()
    body = {"sessionId": session.id, "text": "Hello"}
    sends = [api.send("POST", "/chat/v1/send/text", body=body) for _ in range(3)]
    assert [answer.status_code for answer in sends] == [200, 200, 429]
    assert api.send("GET", f"/chat/v1/send/message/{sends[0].json()['id']}").status_code == 429
    assert [api.send("GET", "/core/v1/tag").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert len(api.sim.sends) == 2


def test_both_limits_may_count_a_send(start: Start) -> None:
    api = start(limits={"burst": (2, 60), "sends_count_twice": True})
    session = api.sim.world.create_session()
    body = {"sessionId": session.id, "text": "Hello"}
    assert [api.send("POST", "/chat/v1/send/text", body=body).status_code for _ in range(3)] == [200, 200, 429]


def test_a_window_slides() -> None:
    window = SlidingWindow(2, 10.0)
    for arrival in (0.0, 6.0):
        assert window.wait(arrival) == 0
        window.count(arrival)
    assert window.wait(7.0) == pytest.approx(3.0)
    assert window.wait(10.1) == 0
    window.count(10.1)
    assert window.wait(10.2) == pytest.approx(5.8)


def test_the_real_limits_are_the_default() -> None:
    with Simulator(sessions=5) as sim:
        api = Client(sim)
        statuses = [api.send("GET", "/core/v1/tag").status_code for _ in range(205)]
        api.http.close()
    assert statuses.count(429) == 5 or statuses.count(429) == 0  # a slow machine lets the 5 s pass
    assert statuses[:200] == [200] * 200


@pytest.mark.parametrize(("option", "seen"), [("always", {True}), ("never", {False}), ("sometimes", {True, False})])
def test_retry_after(start: Start, option: str, seen: set[bool]) -> None:
    api = start(limits={"burst": (0, 60)}, retry_after=option)
    answers = [api.send("GET", "/core/v1/tag") for _ in range(20)]
    assert {"Retry-After" in answer.headers for answer in answers} == seen
    assert len({answer.text for answer in answers}) > 1, "the body is nothing to rely on"


# Faults


def conclude(api: Client) -> tuple[str, requests.Response | None]:
    """Try to conclude a session; its id, and the answer if there was one."""
    session = api.sim.world.create_session()
    try:
        return session.id, api.send("PUT", f"/chat/v1/session/{session.id}/complete", body={})
    except requests.RequestException:
        return session.id, None


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with Simulator(sessions=5, limits=False, strict=True) as sim:
        client = Client(sim)
        yield client
        client.http.close()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault(shared: Client, name: str) -> None:
    api = shared
    api.sim.world.books.clear()
    api.sim.inject(name, on="PUT /chat/v1/session/{id}/complete", delay_s=0.01)
    session_id, answer = conclude(api)
    fault = FAULTS[name]
    entry = api.sim.requests[-1]
    assert (entry.fault, entry.acted) == (name, fault.acted)
    assert len(api.sim.books) == int(fault.acted)
    assert api.get(f"/chat/v2/session/{session_id}")["status"] == ("COMPLETED" if fault.acted else "PENDING")
    plain = name.removesuffix("_acted")
    if plain in ("lost_before", "lost_after", "truncated"):
        assert answer is None
        assert entry.status == (200 if plain == "truncated" else 0)
        return
    assert answer is not None
    if plain[:3].isdigit():
        assert answer.status_code == int(plain[:3])
    if plain in ("502", "503", "504", "html"):
        assert answer.text.startswith("<html>")
    if plain.startswith("429"):
        header = answer.headers.get("Retry-After")
        form = {"429_seconds": "1", "429_bare": None}
        assert header == form.get(name, header)
        if name == "429_date":
            assert header is not None
            assert parsedate_to_datetime(header)
    if plain.startswith("error200"):
        assert (answer.status_code, answer.json()["error"]) == (200, True)
        assert bool(answer.json()["key"]) is (name == "error200_keyed")
    if name in ("form_error", "entity_not_found", "entity_error_save"):
        assert (answer.status_code, answer.json()["key"]) == (500, name.upper())
    if plain == "500":
        assert answer.json()["key"] is None
    if name == "empty":
        assert (answer.status_code, answer.content) == (200, b"")
    if name == "cut_json":
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
            answer.json()
    assert conclude(api)[1] is not None, "the fault was for one request"


def test_a_lost_connection_is_a_reset(api: Client) -> None:
    api.sim.inject("lost_before", times=2)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError, match=r"reset|aborted"):
            api.send("GET", "/core/v1/tag")
    assert api.send("GET", "/core/v1/tag").status_code == 200


def test_a_slow_answer_outlasts_a_timeout_though_the_server_acted(api: Client) -> None:
    api.sim.inject("slow", delay_s=0.5)
    session = api.sim.world.create_session()
    with pytest.raises(requests.ReadTimeout):
        api.http.put(f"{api.sim.url}/chat/v1/session/{session.id}/complete", json={}, timeout=0.2)
    assert [write.ids for write in api.sim.books] == [(session.id,)]


def test_where_and_when_a_fault_strikes(api: Client) -> None:
    api.sim.inject("502", on="/chat/v1/send/*", times=None)
    api.sim.inject("503", on="GET /core/v1/tag", skip=1)
    api.sim.inject("500", on="get /chat/v2/session/{id}", acted=True)
    session = api.sim.world.create_session()
    assert [api.send("GET", "/core/v1/tag").status_code for _ in range(3)] == [200, 503, 200]
    body = {"sessionId": session.id, "text": "Hello"}
    assert [api.send("POST", "/chat/v1/send/text", body=body).status_code for _ in range(3)] == [502] * 3
    assert api.send("GET", "/chat/v2/session").status_code == 200
    assert api.send("GET", f"/chat/v2/session/{session.id}").status_code == 500
    api.sim.application.faults.clear()
    assert api.send("POST", "/chat/v1/send/text", body=body).status_code == 200


def test_retry_after_can_be_given(api: Client) -> None:
    api.sim.inject("429", retry_after=7)
    assert api.send("GET", "/core/v1/tag").headers["Retry-After"] == "7"


def test_faults_by_chance_are_repeatable(start: Start) -> None:
    seen = []
    for _ in range(2):
        api = start(faults="502=0.2,form_error=0.2")
        seen.append([api.send("GET", "/core/v1/tag").status_code for _ in range(60)])
    assert seen[0] == seen[1]
    assert 3 < seen[0].count(502) < 25
    assert 3 < seen[0].count(500) < 25


def test_all_spreads_over_what_may_pass(start: Start) -> None:
    api = start(faults={"all": 1.0})
    names = set()
    for _ in range(120):
        names.add(api.sim.application.faults.choose("GET", "/core/v1/tag").fault.name)  # type: ignore[union-attr]
    assert names == {name for name, fault in FAULTS.items() if fault.passing}


@pytest.mark.parametrize("spec", ["nonsense=0.1", "502", "502=x", "502=-1"])
def test_a_wrong_fault_is_an_error(spec: str) -> None:
    with pytest.raises(ValueError):
        Simulator(sessions=1, faults=spec)


def test_latency(start: Start) -> None:
    api = start(latency_ms=60, jitter_ms=20)
    begin = time.monotonic()
    for _ in range(5):
        api.send("GET", "/core/v1/tag")
    assert time.monotonic() - begin >= 5 * 0.040


# Strictness


def ask_wrongly(sim: Simulator) -> list[object]:
    api = Client(sim)
    rows: list[object] = api.get("/chat/v2/session", contactId="x")["items"]
    api.http.close()
    return rows


def test_strict_ends_with_an_error_that_lists_what_was_wrong() -> None:
    sim = Simulator(sessions=5, limits=False, strict=True)
    with pytest.raises(ContractBroken, match="GET /chat/v2/session: query: contactId is unknown"), sim:
        ask_wrongly(sim)
    assert len(sim.violations) == 1


def test_strict_does_not_hide_another_error() -> None:
    sim = Simulator(sessions=5, limits=False, strict=True)
    with pytest.raises(ZeroDivisionError), sim:
        ask_wrongly(sim).append(1 // 0)
