"""
Keep contacts and their tags in step with a table of customers.

What: saves every customer as a contact, a hundred per request, found again by the phone number; its tags become those
of the table. Customers who have left lose the tag ``Cliente``, if they are contacts who have it, and keep the rest. A
rerun changes nothing.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` of any type whose provider builds on
``common.sql``. A table ``crm_customers`` with three rows is made where there is none, so that the Dag can be tried.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, task

from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.operators.contact import (
    BatchSaveContactsOperator,
    FilterContactsOperator,
    UpdateContactTagsOperator,
)

COLUMNS = ("phone", "name", "email", "tags", "points", "active")
SAMPLE = [
    ("(11) 90000-1001", "Ana Prado", "ana.prado@example.com", "Cliente,VIP", 120, 1),
    ("+55 11 90000-1002", "Beto Reis", "beto.reis@example.com", "Cliente", 15, 1),
    ("5511900001003", "Caio Nunes", "caio.nunes@example.com", "Cliente", 0, 0),
]

with DAG(
    dag_id="example_wtschat_contacts_from_table",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:

    @task
    def prepare_table() -> None:
        """Make the table where it is missing."""
        database = BaseHook.get_connection("warehouse").get_hook()
        database.run(
            "CREATE TABLE IF NOT EXISTS crm_customers (phone VARCHAR(20) PRIMARY KEY, name VARCHAR(100), "
            "email VARCHAR(100), tags VARCHAR(200), points INTEGER, active INTEGER)"
        )
        if not database.get_first("SELECT count(*) FROM crm_customers")[0]:
            database.insert_rows("crm_customers", SAMPLE, list(COLUMNS))

    @task
    def customers() -> list[dict[str, Any]]:
        """Read the customers who are with us, as contacts."""
        database = BaseHook.get_connection("warehouse").get_hook()
        return [
            {
                "phone_number": phone,
                "name": name,
                "email": email,
                "tag_names": tags.split(","),
                "custom_fields": {"pontos": points},
            }
            for phone, name, email, tags, points in database.get_records(
                "SELECT phone, name, email, tags, points FROM crm_customers WHERE active = 1 ORDER BY phone"
            )
        ]

    tagged = FilterContactsOperator(
        task_id="tagged", tag_names=["Cliente"], max_rows=10_000, fields=["id", "phoneNumber"]
    )

    @task
    def left(contacts: list[dict[str, Any]]) -> list[str]:
        """Find the contacts of those who have left, however their phone numbers are written."""
        database = BaseHook.get_connection("warehouse").get_hook()
        numbers = database.get_records("SELECT phone FROM crm_customers WHERE active = 0")
        gone = {phones.person("phone", number) for (number,) in numbers}
        return [
            contact["id"]
            for contact in contacts
            if (number := contact.get("phoneNumber")) and phones.person("phoneNumber", number) in gone
        ]

    prepared = prepare_table()

    save = BatchSaveContactsOperator(
        task_id="save",
        contacts=(with_us := customers()),
        upsert=True,
        upsert_tag_operation="REPLACEALL",
        fields=["id"],
    )

    untag = UpdateContactTagsOperator.partial(
        task_id="untag", tag_names=["Cliente"], tags_operation="DeleteIfExists", max_active_tis_per_dagrun=8
    ).expand(contact_id=(gone := left(tagged.output)))

    prepared >> [with_us, gone]
