"""Tags, portfolios, departments, agents, files and webhooks: what is particular to each."""

from __future__ import annotations

import pytest

from airflow_provider_wtschat.api import agents, custom_fields, departments, files, portfolios, tags, webhooks
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

ID = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"
URL = "https://x.test/hook"


@pytest.mark.parametrize(
    ("request_", "changed", "mask"),
    [
        (agents.update(ID, name="Ana", availability="available"),
         {"name": "Ana", "availability": "AVAILABLE"}, ["Name", "Availability"]),
        (agents.update(ID, short_name="A", clear="phone_number"),
         {"shortName": "A", "phoneNumber": None}, ["ShortName", "PhoneNumber"]),
        (departments.update(ID, is_default=False), {"isDefault": False}, ["IsDefault"]),
        (departments.update(ID, channels=["+55 11 90000-0001"]),
         {"channelsConfig": {"scope": "SELECTED", "channels": ["+55 11 90000-0001"]}}, ["ChannelsConfig"]),
        (departments.update(ID, inactivity_time_in_minutes=0),
         {"distributionConfig": {"inactivityTimeInMinutes": 0}}, ["DistributionConfig"]),
        # The body has no place for a description, and a nested object cannot be null in it.
        (departments.update(ID, clear=["description", "channels_config", "restriction_type"]),
         {"restrictionType": None}, ["Description", "ChannelsConfig", "RestrictionType"]),
        (webhooks.update(ID, enabled=False, events="MESSAGE_SENT"),
         {"enabled": False, "events": ["MESSAGE_SENT"]}, ["Enabled", "Events"]),
    ],
)  # fmt: skip
def test_an_update_names_what_it_changes_and_nothing_else(request_, changed, mask):
    assert request_.body == {**changed, "fields": mask}
    assert request_.safe_to_repeat


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: agents.update(ID), "nothing to update"),
        (lambda: agents.update(ID, email="x", clear="email"), "email"),
        (lambda: agents.create(name="Ana", profile="Boss"), "Admin, Agent, RestrictedAgent"),
        (lambda: agents.create(name=None, profile="Agent"), "name"),
        (lambda: agents.delete(ID, session_resolution="TRANSFER"), "transfer_user_id"),
        (lambda: agents.delete(ID, transfer_user_id=OTHER), "session_resolution"),
        (lambda: agents.change_status(ID, "Undefined"), "Active, Blocked"),
        (lambda: agents.update_departments(ID, action="Upsert", departments=[{"id": ID}]), "department_id"),
        (lambda: agents.update_departments(ID, action="Upsert", departments=[{"is_agent": True}]), "department_id"),
        (lambda: agents.update_departments(ID, action="Add", departments=[]), "ReplaceAll, Upsert, Remove"),
        (lambda: departments.update(ID), "nothing to update"),
        (lambda: departments.create(name=""), "name"),
        (lambda: departments.create(name="x", channels=["1"], channels_scope="ALL"), "SELECTED"),
        (lambda: departments.create(name="x", agents=[{"user_id": "7"}]), r"agents\[0\]\['user_id'\]"),
        (lambda: departments.get(ID, include_details="Tags"), "All, Agents, Channels"),
        (lambda: tags.create(name="x", color="ORANGE_500"), "BLUE_500"),
        (lambda: tags.update(ID, name=None, color="BLUE_500"), "name"),
        (lambda: portfolios.add_contact(ID), "contact_id, phone_number"),
        (lambda: portfolios.add_contact(ID, contact_id=OTHER, phone_number="11900000001"), "contact_id, phone_number"),
        (lambda: portfolios.remove_contacts(ID), "contact_ids, phone_numbers"),
        (lambda: portfolios.remove_contacts(ID, contact_ids=[]), "contact_ids, phone_numbers"),
        (lambda: portfolios.list_contacts(ID, order_direction="DESCENDING"), "order_by"),
        (lambda: webhooks.create(name="x", url=URL, events=[]), "events"),
        (lambda: webhooks.create(name="x", url=URL, events=["session new"]), "SESSION_NEW"),
        (lambda: webhooks.create(name="x", url="x.test", events=["SESSION_NEW"]), "url"),
        (lambda: webhooks.create(name="x", url=URL + "x" * 500, events=["SESSION_NEW"]), "500"),
        (lambda: webhooks.update(ID), "nothing to update"),
        (lambda: files.get_upload_url(name="a.pdf", file_type="ZIP"), "PDF"),
        (lambda: files.save(None), "temp_file_id"),
        (lambda: custom_fields.list_(entity_type="CARD"), "CONTACT, PANEL"),
    ],
)
def test_what_could_not_do_what_it_says_is_refused(build, named):
    with pytest.raises(WtsChatArgumentError, match=named):
        build()


@pytest.mark.parametrize(
    ("request_", "safe"),
    [
        (agents.create(name="Ana", profile="Agent"), False),
        (agents.delete(ID, session_resolution="transfer", transfer_user_id=OTHER), True),
        (agents.update_departments(ID, action="upsert", departments={"department_id": ID}), True),
        (agents.change_status(ID, "blocked"), True),
        (agents.logout(ID), True),
        (departments.create(name="x"), False),
        (departments.update_agents(ID, action="ReplaceAll", agents=[]), True),
        (tags.create(name="x"), False),
        (tags.delete(ID, remove_from_contacts=True), True),
        (portfolios.add_contact(ID, contact_id=OTHER), True),
        (portfolios.add_contacts(ID, contact_ids=[OTHER]), True),
        (portfolios.remove_contacts(ID, contact_ids=[OTHER]), True),
        (webhooks.create(name="x", url=URL, events="TEMPLATE_NEW"), False),
        (files.save(ID), True),
    ],
)
def test_what_may_be_sent_twice(request_, safe):
    assert request_.safe_to_repeat is safe


def test_deletes_carry_their_body():
    assert tags.delete(ID, remove_from_contacts="true").body == {"removeFromContacts": True}
    assert portfolios.remove_contact(ID, phone_number="(11) 90000-0001").body == {"phoneNumber": "5511900000001"}
    assert portfolios.remove_contacts(ID, phone_numbers=["(11) 90000-0001"]).body == {"phoneNumbers": ["5511900000001"]}
    assert agents.delete(ID).body == {}


def test_members_are_mappings():
    roles = {"is_agent": "true", "is_supervisor": False}
    sent = {"isAgent": True, "isSupervisor": False}
    assert departments.update_agents(ID, action="Upsert", agents=[{"user_id": OTHER, **roles}]).body == {
        "action": "Upsert", "items": [{"userId": OTHER, **sent}],
    }  # fmt: skip
    assert agents.update_departments(ID, action="Remove", departments=[{"department_id": OTHER, **roles}]).body == {
        "action": "Remove", "items": [{"departmentId": OTHER, **sent}],
    }  # fmt: skip
    assert departments.create(name="x", agents=[{"user_id": OTHER}]).body == {
        "name": "x", "agents": [{"userId": OTHER}],
    }  # fmt: skip


def test_contacts_of_a_portfolio_page_by_names_of_their_own():
    request = portfolios.list_contacts(ID, contact_ids=[OTHER], created_is_null=False, created_after="2026-09-01")
    assert request.filters == {"portfolioId": (ID,), "contactId": (OTHER,)}
    own = (
        ("CreatedAt.IsNull", "false"), ("ContactIds", OTHER), ("CreatedAt.After", "2026-09-01T00:00:00.000000Z")
    )  # fmt: skip
    assert request.page(3, 50).query == (*own, ("Page", "3"), ("PageSize", "50"))
    paged = (*own, ("Page", "1"), ("PageSize", "100"))
    ascending = portfolios.list_contacts(ID, contact_ids=OTHER, created_is_null=0, created_after="2026-09-01",
                                         order_by="CreatedAt", order_direction="ascending")  # fmt: skip
    assert ascending.page().query == (*paged, ("OrderBy", "CreatedAt"))
    descending = ascending.having(order_direction="DESCENDING")
    assert descending.page().query == (*paged, ("OrderByDesc", "CreatedAt"))
