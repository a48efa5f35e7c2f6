from __future__ import annotations

import pytest

from airflow_provider_wtschat.api import contacts
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

ID = "0b1c2d3e-0000-4000-8000-000000000001"
TAG = "0b1c2d3e-0000-4000-8000-000000000002"
PHONE = "(11) 90000-0001"


@pytest.mark.parametrize(
    ("given", "changed", "mask"),
    [
        ({"name": "Maria"}, {"name": "Maria"}, ["Name"]),
        ({"phone_number": PHONE}, {"phoneNumber": "+55|11900000001"}, ["PhoneNumber"]),
        ({"tag_ids": [TAG]}, {"tagIds": [TAG]}, ["Tags"]),
        ({"tag_names": "VIP"}, {"tagNames": ["VIP"]}, ["Tags"]),
        ({"tag_names": "VIP", "tags_operation": "deleteifexists"},
         {"tagNames": ["VIP"], "options": {"tagsOperation": "DeleteIfExists"}}, ["Tags"]),
        ({"portfolio_names": ["South"]}, {"portfolioNames": ["South"]}, ["Portfolio"]),
        ({"status": "blocked"}, {"status": "BLOCKED"}, ["Status"]),
        ({"utm": {"referral_url": "https://x.test"}}, {"utm": {"referralUrl": "https://x.test"}}, ["Utm"]),
        ({"metadata": {"erp": None}}, {"metadata": {"erp": None}}, ["Metadata"]),
        ({"clear": ["email", "annotation"]}, {"email": None, "annotation": None}, ["Email", "Annotation"]),
        ({"clear": "['utm', 'metadata']"}, {"metadata": None}, ["Utm", "Metadata"]),
        # Adding no tags, which is the API's default, would clear nothing.
        ({"clear": "tag_names"}, {"tagIds": [], "options": {"tagsOperation": "ReplaceAll"}}, ["Tags"]),
        ({"clear": "portfolio_names", "name": "x"}, {"portfolioIds": None, "name": "x"}, ["Name", "Portfolio"]),
    ],
)  # fmt: skip
def test_an_update_names_what_it_changes_and_nothing_else(given, changed, mask):
    for request in (contacts.update(ID, **given),
                    contacts.update_by_phone(PHONE, **{"new_" + k if k == "phone_number" else k: v
                                                       for k, v in given.items()})):  # fmt: skip
        assert request.body == {**changed, "fields": mask}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "nothing to update"),
        ({"tags_operation": "ReplaceAll"}, "nothing to update"),
        ({"clear": []}, "nothing to update"),
        ({"clear": "status"}, "phone_number"),
        ({"name": "x", "clear": "name"}, "name"),
        ({"tag_names": ["x"], "clear": "tag_ids"}, "clear: tag_ids or tag_names is both"),
        ({"clear": "tag_ids", "tags_operation": "InsertIfNotExists"}, "tags_operation"),
        ({"tag_names": ["x"], "tag_ids": [TAG]}, "tag_ids, tag_names"),
        ({"portfolio_names": ["x"], "portfolio_ids": [TAG]}, "portfolio_ids, portfolio_names"),
        ({"name": "x" * 256}, "255"),
        ({"utm": {"clid": "x"}}, "source, medium"),
        ({"email": "None"}, "email"),
        ({"status": "DELETED"}, "ACTIVE, ARCHIVED, BLOCKED"),
        ({"picture_url": "C:/me.png"}, "picture_url"),
    ],
)
def test_an_update_that_could_not_do_what_it_says_is_refused(given, named):
    with pytest.raises(WtsChatArgumentError, match=named):
        contacts.update(ID, **given)
    with pytest.raises(WtsChatArgumentError, match=named):
        contacts.update_by_phone(PHONE, **given)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ({"phone_number": PHONE}, False),
        ({"phone_number": PHONE, "upsert": True}, True),
        ({"phone_number": PHONE, "get_if_exists": "true"}, True),
        ({"phone_number": PHONE, "upsert": False}, False),
        ({"email": "m@x.test", "upsert": True}, True),
        ({"instagram": "maria", "upsert": True}, True),
        # By its name alone nobody is found again.
        ({"name": "Maria", "upsert": True}, False),
        # Who enters a sequence is written to.
        ({"phone_number": PHONE, "upsert": True, "sequence_ids": [TAG]}, False),
        ({"phone_number": PHONE, "get_if_exists": True, "sequence_ids": [TAG]}, True),
    ],
)
def test_creating_is_repeated_only_where_the_contact_is_found_again(given, safe):
    assert contacts.create(**given).safe_to_repeat is safe


def test_updates_are_repeated_unless_the_second_would_do_something_else():
    assert contacts.update(ID, phone_number=PHONE).safe_to_repeat
    assert not contacts.update(ID, sequence_ids=[TAG]).safe_to_repeat
    assert contacts.update_by_phone(PHONE, name="x").safe_to_repeat
    assert not contacts.update_by_phone(PHONE, new_phone_number="(11) 90000-0002").safe_to_repeat
    assert contacts.batch_save([{"phone_number": PHONE}]).safe_to_repeat
    assert not contacts.batch_save([{"phone_number": PHONE}, {"name": "x"}]).safe_to_repeat
    assert not contacts.batch_save([{"phone_number": PHONE, "sequence_ids": [TAG]}]).safe_to_repeat


def test_options_of_an_upsert():
    request = contacts.create(
        name="x", upsert="yes", upsert_fields="['name', 'CustomFields']", upsert_tag_operation="ReplaceAll"
    )
    assert request.body == {
        "name": "x",
        "options": {"upsert": True, "upsertFields": ["Name", "CustomFields"], "upsertTagOperation": "REPLACEALL"},
    }
    assert "options" not in contacts.create(name="x").body
    with pytest.raises(WtsChatArgumentError, match="upsert, get_if_exists"):
        contacts.create(name="x", upsert=True, get_if_exists=True)
    with pytest.raises(WtsChatArgumentError, match="SequenceIds"):
        contacts.create(name="x", upsert=True, upsert_fields=["custom_fields"])
    with pytest.raises(WtsChatArgumentError, match="known by"):
        contacts.create(annotation="x", upsert=True)


def test_a_batch_takes_up_to_a_hundred_contacts_and_names_the_bad_one():
    request = contacts.batch_save(
        [{"name": "Maria", "phone_number": PHONE, "email": None}, {"instagram": "joao", "tag_names": ["VIP"]}],
        get_if_exists=True,
    )
    assert request.body == {
        "items": [
            {"name": "Maria", "phoneNumber": "+55|11900000001"},
            {"instagram": "joao", "tagNames": ["VIP"]},
        ],
        "options": {"getIfExists": True},
    }
    assert len(contacts.batch_save([{"name": f"{i}"} for i in range(100)]).body["items"]) == 100
    for bad, named in (
        ([], "1 to 100"),
        ([{"name": "x"}] * 101, "1 to 100"),
        ([{"name": "x"}, {"phoneNumber": PHONE}], r"contacts\[1\].*phone_number"),
        ([{"name": "x"}, {"phone_number": "12"}], r"contacts\[1\]\['phone_number'\]: "),
        ([{"name": "x"}, {"name": None}], r"contacts\[1\].*known by"),
        (["x"], r"contacts\[0\]"),
    ):
        with pytest.raises(WtsChatArgumentError, match=named):
            contacts.batch_save(bad)


@pytest.mark.parametrize("phone", ["+55|11900000001", "(11) 90000-0001", 5511900000001, "11 90000-0001"])
def test_look_ups_take_a_phone_in_any_spelling_and_hide_it(phone):
    for request in (
        contacts.get_by_phone(phone),
        contacts.update_by_phone(phone, name="x"),
        contacts.update_tags_by_phone(phone, tag_names="VIP"),
    ):
        assert request.path_params == {"phone": "5511900000001"}
        assert "/5511900000001" in request.path
        assert "11900000001" not in request.label
        assert "11900000001" not in repr(request)
    assert contacts.get_by_phone("212 555 0100", phone_country="1").path_params == {"phone": "12125550100"}


def test_tags_are_added_unless_something_else_is_said():
    assert contacts.update_tags(ID, tag_names=["VIP"]).body == {
        "tagNames": ["VIP"], "operation": "InsertIfNotExists"
    }  # fmt: skip
    assert contacts.update_tags(ID, tag_ids=[], operation="replaceall").body == {
        "tagIds": [], "operation": "ReplaceAll"
    }  # fmt: skip
    with pytest.raises(WtsChatArgumentError, match="tag_ids, tag_names"):
        contacts.update_tags(ID)


def test_a_filter_pages_and_keeps_its_bounds_in_the_body():
    request = contacts.filter(
        status="archived",
        origin="IMPORTED",
        phone_number=PHONE,
        metadata={"erp": 7},  # type: ignore[dict-item]
        updated_after="2026-09-01",
        updated_before="2026-09-03",
        timezone="America/Sao_Paulo",
    )
    assert isinstance(request, PagedRequest)
    assert request.safe_to_repeat
    held = {"status": "ARCHIVED", "origin": "IMPORTED", "phoneNumber": "5511900000001", "metadata.erp": "7"}
    assert request.filters == {name: (value,) for name, value in held.items()}
    assert request.bound("UpdatedAt.After") == "2026-09-01T03:00:00.000000Z"
    assert request.bound("CreatedAt.After") is None
    page = request.page(2, 50, order_by="CreatedAt", order_direction="ASCENDING",
                        bounds={"UpdatedAt.After": "2026-09-02T00:00:00.000000Z",
                                "CreatedAt.Before": "2026-09-04T00:00:00.000000Z"})  # fmt: skip
    assert page.query == ()
    assert page.body == {
        "status": "ARCHIVED",
        "origin": "IMPORTED",
        "phoneNumber": "5511900000001",
        "metadata": {"erp": "7"},
        "updatedAt": {"after": "2026-09-02T00:00:00.000000Z", "before": "2026-09-03T03:00:00.000000Z"},
        "createdAt": {"before": "2026-09-04T00:00:00.000000Z"},
        "pageNumber": 2,
        "pageSize": 50,
        "orderBy": "CreatedAt",
        "orderDirection": "ASCENDING",
    }
    # The request itself was not changed by asking for a page of it.
    assert "createdAt" not in request.body
    assert request.page().body["updatedAt"]["after"] == "2026-09-01T03:00:00.000000Z"
