"""Lists: bounds, order, pages, and all the ways in which the real ones are unkind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_wtschat.simulator.instants import instant_text, parse_instant
from airflow_provider_wtschat.simulator.options import Options
from airflow_provider_wtschat.simulator.world import World
from tests.simulator.conftest import Client

Start = Callable[..., Client]


def micros(text: str) -> int:
    instant = parse_instant(text)
    assert instant is not None
    return instant.micros


def updated(rows: list[dict[str, Any]]) -> list[int]:
    return [micros(row["updatedAt"]) for row in rows]


def test_a_page_is_15_rows_the_newest_first(api: Client) -> None:
    page = api.get("/chat/v2/session")
    created = [micros(row["createdAt"]) for row in page["items"]]
    assert created == sorted(created, reverse=True)
    assert (page["pageNumber"], page["pageSize"], len(page["items"])) == (1, 15, 15)
    assert (page["totalItems"], page["totalPages"], page["hasMorePages"]) == (60, 4, True)
    assert api.get("/chat/v2/session", PageNumber=4)["hasMorePages"] is False


@pytest.mark.parametrize("size", [0, 101])
def test_a_page_too_large_is_a_500(api: Client, size: int) -> None:
    assert api.refused("GET", "/chat/v2/session", {"PageSize": size})[0] == 500


@pytest.mark.parametrize("order", ["CreatedAt", "updatedat", "LASTINTERACTIONAT"])
@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_order(api: Client, order: str, direction: str) -> None:
    rows = api.pages("/chat/v2/session", OrderBy=order, OrderDirection=direction)
    field = {"createdat": "createdAt", "updatedat": "updatedAt"}.get(order.lower(), "lastInteractionDate")
    instants = [micros(row[field]) for row in rows]
    assert instants == sorted(instants, reverse=direction == "DESCENDING")
    assert len({row["id"] for row in rows}) == 60


def test_an_unknown_order_is_ignored_and_the_echo_is_spelled_otherwise(api: Client) -> None:
    pages = [api.get("/chat/v2/session", OrderBy="Name", OrderDirection="DESCENDING") for _ in range(2)]
    assert pages[0]["items"] == pages[1]["items"] == api.get("/chat/v2/session")["items"]
    assert {page["orderDirection"] for page in pages} == {"DESCENDING", "desc"}
    assert pages[0]["orderBy"] == "name"


@pytest.mark.parametrize("inclusive", [True, False])
def test_bounds(start: Start, inclusive: bool) -> None:
    api = start(bounds="inclusive" if inclusive else "exclusive")
    rows = api.pages("/chat/v2/session", OrderBy="UpdatedAt")
    low, high = rows[10], rows[20]
    query = {"UpdatedAt.After": instant_text(updated([low])[0]), "UpdatedAt.Before": instant_text(updated([high])[0])}
    inside = {row["id"] for row in api.pages("/chat/v2/session", **query)}
    assert inside == {row["id"] for row in rows[10 if inclusive else 11 : 21 if inclusive else 20]}
    # A bound on one instant goes with the order of another.
    crossed = api.pages("/chat/v2/session", OrderBy="CreatedAt", **query)
    assert {row["id"] for row in crossed} == inside
    assert crossed == sorted(crossed, key=lambda row: micros(row["createdAt"]))


def test_bounds_are_compared_to_the_microsecond(api: Client) -> None:
    row = api.get("/chat/v2/session", OrderBy="UpdatedAt", PageSize=1)["items"][0]
    at = updated([row])[0]
    one_later = api.get("/chat/v2/session", **{"UpdatedAt.After": instant_text(at + 1)})
    assert one_later["totalItems"] == 59
    assert api.get("/chat/v2/session", **{"UpdatedAt.After": instant_text(at)})["totalItems"] == 60


def test_filters(api: Client) -> None:
    world = api.sim.world
    everything = api.pages("/chat/v2/session")
    for status in ("PENDING", "COMPLETED"):
        expected = {row["id"] for row in everything if row["status"] == status}
        assert {row["id"] for row in api.pages("/chat/v2/session", Status=status)} == expected
    row = next(row for row in everything if row["userId"] and row["departmentId"])
    for name, field in (("UserId", "userId"), ("DepartmentId", "departmentId"), ("ContactId", "contactId")):
        expected = {one["id"] for one in everything if one[field] == row[field]}
        assert {one["id"] for one in api.pages("/chat/v2/session", **{name: row[field]})} == expected
    tag = next(iter(world.tags))
    tagged = {contact.id for contact in world.contacts if tag.id in contact.tag_ids}
    expected = {one["id"] for one in everything if one["contactId"] in tagged}
    assert {one["id"] for one in api.pages("/chat/v2/session", TagsName=tag["name"])} == expected
    ended = api.pages("/chat/v2/session", **{"EndAt.After": "2000-01-01T00:00:00Z"})
    assert {one["id"] for one in ended} == {one["id"] for one in everything if one["endAt"]}
    world.change_session(row["id"], metadata={"order": "7"})
    assert [one["id"] for one in api.pages("/chat/v2/session", **{"Metadata[order]": "7"})] == [row["id"]]


def test_an_unknown_name_brings_the_whole_account_and_is_booked(api: Client) -> None:
    assert api.get("/chat/v2/session", contactId="x")["totalItems"] == 60
    assert api.get("/chat/v2/session", Status="PENDING,STARTED")["totalItems"] == 60
    assert api.get("/chat/v2/session", **{"Status[]": "PENDING"})["totalItems"] == 60
    assert [violation.where for violation in api.sim.violations] == ["query"] * 3


def test_hidden_sessions_show_only_where_asked_for(start: Start) -> None:
    api = start(statuses={"HIDDEN": 1, "PENDING": 1})
    hidden = {session.id for session in api.sim.world.sessions if session.status == "HIDDEN"}
    assert hidden
    assert hidden.isdisjoint(row["id"] for row in api.pages("/chat/v2/session"))
    assert {row["id"] for row in api.pages("/chat/v2/session", Status="HIDDEN")} == hidden


def test_a_changed_row_moves_to_the_end_and_its_neighbour_slips(api: Client) -> None:
    first = api.get("/chat/v2/session", OrderBy="UpdatedAt", PageSize=20)["items"]
    api.sim.world.change_session(first[3]["id"], title="changed")
    second = api.get("/chat/v2/session", OrderBy="UpdatedAt", PageSize=20, PageNumber=2)["items"]
    everything = api.pages("/chat/v2/session", OrderBy="UpdatedAt")
    assert everything[-1]["id"] == first[3]["id"]
    slipped = everything[19]["id"]
    assert slipped not in {row["id"] for row in first + second}


def test_ties(start: Start) -> None:
    api = start(tie=40, tie_created=5)
    rows = api.pages("/chat/v2/session", OrderBy="UpdatedAt")
    (instant, size), *_ = Counter(updated(rows)).most_common(1)
    assert size == 40
    tied = [row for row in rows if updated([row]) == [instant]]
    assert len({micros(row["createdAt"]) for row in tied}) == 36
    assert rows == api.pages("/chat/v2/session", OrderBy="UpdatedAt"), "stable by default"


def test_ties_in_arbitrary_order(start: Start) -> None:
    api = start(tie=40, tie_order="arbitrary")
    query = {"OrderBy": "UpdatedAt", "PageSize": 10}
    position = next(
        number
        for number in range(1, 7)
        if len(set(updated(api.get("/chat/v2/session", **query, PageNumber=number)["items"]))) == 1
    )
    seen = {
        tuple(row["id"] for row in api.get("/chat/v2/session", **query, PageNumber=position)["items"]) for _ in range(5)
    }
    assert len(seen) > 1
    assert api.get("/chat/v2/session", **query)["totalItems"] == 60


@pytest.mark.parametrize("option", ["ignore_order_by", "ignore_bounds"])
def test_a_server_that_ignores_what_it_is_asked(start: Start, option: str) -> None:
    api = start(**{option: True})
    page = api.get("/chat/v2/session", OrderBy="UpdatedAt", PageSize=100, **{"UpdatedAt.After": "2200-01-01T00:00:00Z"})
    if option == "ignore_bounds":
        assert page["totalItems"] == 60
    else:
        assert page["totalItems"] == 0
        rows = api.pages("/chat/v2/session", OrderBy="UpdatedAt", OrderDirection="ASCENDING")
        assert rows == api.pages("/chat/v2/session")


def test_instants_come_in_several_texts_that_lose_nothing(api: Client) -> None:
    rows = api.pages("/chat/v2/session")
    texts = [row[field] for row in rows for field in ("createdAt", "updatedAt", "lastInteractionDate")]
    fractions = {len(text.rstrip("Z").partition(".")[2]) for text in texts}
    assert {6, 7, 8} <= fractions
    assert {text.endswith("Z") for text in texts} == {True, False}
    assert {row["id"]: row["updatedAt"] for row in rows} == {
        row["id"]: row["updatedAt"] for row in api.pages("/chat/v2/session", OrderBy="UpdatedAt")
    }
    truth = {session.id: session.updated for session in api.sim.world.sessions}
    assert {row["id"]: micros(row["updatedAt"]) for row in rows} == truth


def test_rows_that_lists_show_late(start: Start) -> None:
    api = start()
    world = api.sim.world
    row = api.get("/chat/v2/session")["items"][0]
    world.change_session(row["id"], late_s=60, title="late")
    new = world.create_session()
    world.clock.freeze()
    listed = {one["id"]: one for one in api.pages("/chat/v2/session")}
    assert listed[row["id"]]["title"] is None
    assert listed[row["id"]]["updatedAt"] == row["updatedAt"]
    assert new.id in listed
    assert api.get(f"/chat/v2/session/{row['id']}")["title"] == "late"
    world.clock.advance(61)
    assert {one["id"]: one for one in api.pages("/chat/v2/session")}[row["id"]]["title"] == "late"


def test_a_share_of_changes_is_late(start: Start) -> None:
    api = start(late_rows=1.0, late_s=100)
    api.sim.world.clock.freeze()
    new = api.sim.world.create_session()
    assert api.get("/chat/v2/session")["totalItems"] == 60
    assert new.id in api.sim.world.truth("sessions")
    api.sim.world.clock.advance(101)
    assert api.get("/chat/v2/session")["totalItems"] == 61


def test_churn_is_repeatable_and_stamped_when_it_was_due() -> None:
    truths = []
    for _ in range(2):
        world = World(Options(sessions=60, changes_per_s=20, deletions=0.1, now="2026-03-01T12:00:00Z"))
        world.clock.advance(10)
        world.settle()
        world.churn.set_rate(0)
        begin = micros("2026-03-01T12:00:00Z")
        truths.append({session.id: session.updated - begin for session in world.sessions})
        changed = [at for at in truths[-1].values() if at > 0]
        assert len(changed) > 50
        assert len(set(changed)) == len(changed)
        assert max(changed) > 9_800_000
    assert truths[0] == truths[1]


def test_deleted_rows_are_gone(api: Client) -> None:
    row = api.get("/chat/v2/session")["items"][0]
    api.sim.world.delete_session(row["id"])
    assert api.refused("GET", f"/chat/v2/session/{row['id']}") == (404, "ENTITY_NOT_FOUND")
    assert row["id"] not in {one["id"] for one in api.pages("/chat/v2/session")}


@pytest.mark.parametrize("path", ["/core/v1/contact", "/chat/v1/template", "/crm/v2/panel/card"])
def test_lists_show_less_than_there_is_by_default(api: Client, path: str) -> None:
    world = api.sim.world
    if path == "/core/v1/contact":
        everything = [api.pages(path, Status=status) for status in ("ACTIVE", "ARCHIVED", "BLOCKED")]
        assert sum(map(len, everything)) == len(world.contacts)
        assert api.pages(path) == everything[0]
    elif path == "/chat/v1/template":
        both = [api.pages(path, Archived=archived) for archived in ("false", "true")]
        assert sum(map(len, both)) == len(world.templates)
        assert api.pages(path) == both[0]
    else:
        panels = [panel.id for panel in world.panels]
        statuses = ["OPEN", "WON", "LOST", "ARCHIVED"]
        cards = [card for panel in panels for card in api.pages(path, PanelId=panel, Statuses=statuses)]
        assert len(cards) == len(world.cards)
        assert {card["status"] for panel in panels for card in api.pages(path, PanelId=panel)} == {"OPEN"}


def test_portfolio_contacts_page_in_their_own_way(api: Client) -> None:
    portfolio = api.get("/core/v1/portfolio")["items"][0]["id"]
    path = f"/core/v1/portfolio/{portfolio}/contact"
    first = api.get(path, Page=1, PageSize=12, OrderBy="CreatedAt")
    second = api.get(path, NextPageToken=2, PageSize=12, OrderBy="CreatedAt", SkipCount="true")
    ids = [row["contactId"] for row in first["items"] + second["items"]]
    assert (first["totalItems"], len(set(ids))) == (20, 20)
    assert (second["totalItems"], second["hasMorePages"]) == (0, False)
    assert api.refused("GET", path, {"NextPageToken": "second"}) == (500, "FORM_ERROR")


def test_odd_characters_come_through(start: Start) -> None:
    api = start(odd_characters=1.0)
    names = "".join(row["name"] for row in api.pages("/core/v1/contact"))
    assert {"\x00", "\ud83d", '"', "\n"} <= set(names)


def test_the_same_seed_makes_the_same_account(start: Start) -> None:
    options = {"now": "2026-03-01T12:00:00Z", "seed": 9}
    one, two, other = start(**options), start(**options), start(now=options["now"], seed=10)

    def rows(api: Client) -> list[Any]:
        lists = [api.pages("/chat/v2/session"), api.pages("/core/v1/contact")]
        session = lists[0][0]["id"]
        messages = api.get(f"/chat/v1/session/{session}/message")["items"]
        return [[{**row, "previewUrl": None} for row in part] for part in (*lists, messages)]

    assert rows(one) == rows(two)
    assert rows(one)[0][0]["id"] != rows(other)[0][0]["id"]


def test_a_filter_knows_of_changes_elsewhere(api: Client) -> None:
    row = api.get("/chat/v2/session", PageSize=1)["items"][0]
    query = {"TagsName": "VIP", "ContactId": row["contactId"]}
    api.ok("POST", f"/core/v1/contact/{row['contactId']}/tags", body={"operation": "ReplaceAll", "tagNames": ["Lead"]})
    assert api.get("/chat/v2/session", **query)["totalItems"] == 0
    api.ok("POST", f"/core/v1/contact/{row['contactId']}/tags", body={"operation": "ReplaceAll", "tagNames": ["VIP"]})
    assert api.get("/chat/v2/session", **query)["totalItems"] > 0
