"""Make the pictures of docs/images out of Airflow's UI with a simulated account: ``make pictures``.

Each picture is a function that drives a headless Chromium to what it shows; ``python -m scripts.pictures NAME ...``
makes only those named. It runs on the Airflow of the interpreter that runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat.demo._airflow import stop_on_signals
from scripts.local import CHROMIUM, CHROMIUM_FLAGS, ROOT
from scripts.ui import Stage, brought_up

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

IMAGES = ROOT / "docs" / "images"
LARGEST = 150 * 1024
"""Bytes of a picture, at most."""
SIZE: ViewportSize = {"width": 1280, "height": 800}
THEMES = ("light", "dark")


_REPLACE = """([old, shown]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(old, shown);
}"""


@dataclass
class Studio:
    """What a picture is made with.

    :param stage: Airflow and the account.
    :param page: the browser's page, logged in; 1280 by 800.
    :param images: where pictures go.
    """

    stage: Stage
    page: Page
    images: Path
    filled: bool = False

    def theme(self, name: str) -> None:
        """Let Airflow show itself in a theme from the next ``open`` on.

        :param name: ``light`` or ``dark``.
        """
        self.page.add_init_script(f"localStorage.setItem('theme', {json.dumps(name)})")

    def language(self, name: str) -> None:
        """Let Airflow speak a language from the next ``open`` on.

        :param name: such as ``en`` or ``pt``.
        """
        self.page.add_init_script(f"localStorage.setItem('i18nextLng', {json.dumps(name)})")

    def open(self, path: str) -> None:
        """Open a page of the UI, and wait until it asks for nothing more.

        :param path: such as ``/dags``.
        """
        self.page.goto(self.stage.url + path)
        # Not until the network is idle: pages with something that runs never are.
        self.page.wait_for_load_state("load")
        self.page.wait_for_timeout(1500)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Airflow's REST API, as its UI would.

        :param method: such as ``POST``.
        :param path: below ``/api/v2``.
        :param body: a JSON document.
        :return: the answer.
        """
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{self.stage.url}/api/v2{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.stage.token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  # our own server
            return json.loads(answer.read() or b"null")

    def store(self, key: str, value: str) -> None:
        """Let the browser remember something from the next ``open`` on, such as how the UI was left.

        :param key: of the local storage.
        :param value: what it holds.
        """
        self.page.add_init_script(f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)})")

    def in_each_language(self, name: str, show: Callable[[], None], **options: Any) -> None:
        """Keep a picture in English, and one in Portuguese that the Portuguese documentation shows in its place.

        :param name: of the picture.
        :param show: brings the browser to what it shows; it may not look for words of the UI.
        :param options: as for ``keep``.
        """
        for language, suffix in (("en", ""), ("pt", ".pt_BR")):
            self.language(language)
            show()
            self.keep(name + suffix, **options)
        self.language("en")

    def states(self, dag_id: str, run_id: str, task_id: str) -> set[str | None]:
        """Say in which states a task is, over all that it was mapped to.

        :param dag_id: the Dag.
        :param run_id: the run.
        :param task_id: the task.
        """
        found = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=200")
        return {task["state"] for task in found["task_instances"] if task["task_id"] == task_id}

    def until(self, there: Callable[[], bool], what: str, seconds: float = 900) -> None:
        """Wait for something.

        :param there: says whether it is there.
        :param what: what to call it in messages.
        :param seconds: how long to wait at most.
        """
        deadline = time.monotonic() + seconds
        while not there():
            if time.monotonic() > deadline:
                raise SystemExit(f"{what}: not within {seconds:.0f} s")
            self.stage.processes.check()
            time.sleep(1)

    def run(
        self,
        dag_id: str,
        conf: dict[str, Any] | None = None,
        *,
        until: tuple[str, ...] = ("success", "failed"),
        seconds: float = 180,
    ) -> str:
        """Unpause and trigger a Dag, and wait until its run has got somewhere.

        :param dag_id: the Dag.
        :param conf: its parameters.
        :param until: states of a run to wait for; none: do not wait.
        :param seconds: how long to wait at most.
        :return: id of the run.
        """
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        run_id = str(run["dag_run_id"])
        deadline = time.monotonic() + seconds
        while until and self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"] not in until:
            if time.monotonic() > deadline:
                raise SystemExit(f"{dag_id} was not {' or '.join(until)} within {seconds:.0f} s")
            self.stage.processes.check()
            time.sleep(0.5)
        return run_id

    def keep(self, name: str, **options: Any) -> Path:
        """Keep what the browser shows.

        :param name: of the picture, without ``.png``.
        :param options: of Playwright's ``screenshot``, such as ``clip`` or ``full_page``.
        :return: the file.
        :raises SystemExit: if it is too large.
        """
        path = self.images / f"{name}.png"
        # Where Airflow lies on this machine is nobody's business.
        self.page.evaluate(_REPLACE, [str(self.stage.home), "/opt/airflow"])
        self.page.screenshot(path=path, animations="disabled", **options)
        _shrink(path)
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path} has {path.stat().st_size // 1024} KB; more than {LARGEST // 1024} are too many")
        print(f"{path} ({path.stat().st_size // 1024} KB)", flush=True)
        return path


PICTURES: dict[str, Callable[[Studio, str], None]] = {}
"""What makes each picture: it is given the studio and the picture's name."""


def picture(name: str) -> Callable[[Callable[[Studio, str], None]], Callable[[Studio, str], None]]:
    """Register what makes a picture.

    :param name: of the picture: it becomes ``docs/images/NAME.png``.
    """

    def register(make: Callable[[Studio, str], None]) -> Callable[[Studio, str], None]:
        PICTURES[name] = make
        return make

    return register


def _shrink(path: Path) -> None:
    """Take fewer colours, where a tool for it is installed."""
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


@contextmanager
def studio(stage: Stage, images: Path) -> Iterator[Studio]:
    """Start a browser that is logged into an Airflow.

    :param stage: the Airflow.
    :param images: where pictures go.
    """
    from playwright.sync_api import sync_playwright

    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=CHROMIUM_FLAGS,
            viewport=SIZE,
            locale="en-US",
            timezone_id="America/Sao_Paulo",
        )
        try:
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{stage.url}/")
            page.wait_for_load_state("load")
            yield Studio(stage, page, images)
        finally:
            context.close()


def main() -> int:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(PICTURES)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"pictures to make (default: all): {names}")
    parser.add_argument("--home", type=Path, default=ROOT / ".ui-pictures", help="directory for what Airflow makes")
    parser.add_argument("--images", type=Path, default=IMAGES, help="directory for the pictures")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in PICTURES]:
        parser.error(f"there is no picture {', '.join(unknown)}")
    if CHROMIUM is None:
        print("Chromium is not installed (Debian: apt-get install chromium)", file=sys.stderr)
        return 2
    stop_on_signals()
    with brought_up(options.home.resolve()) as stage, studio(stage, options.images.resolve()) as at_work:
        for name, make in PICTURES.items():
            if not options.names or name in options.names:
                make(at_work, name)
    return 0


def _page_of_provider(at: Studio, name: str) -> None:
    """The page of the provider, with a load, a campaign, and somebody who waits."""
    fill_page(at)
    at.theme(name.rpartition("-")[2])
    at.open("/plugin/wtschat")
    frame = at.page.frame_locator("iframe[title='WTS Chat']")
    frame.locator("html[data-ready]").wait_for()
    frame.get_by_text("example_wtschat_whole_account").first.wait_for()
    at.keep(name)


for _theme in THEMES:
    picture(f"page-{_theme}")(_page_of_provider)


def fill_page(at: Studio) -> None:
    """Let the Dags run that the page has something to show of, once.

    :param at: the studio.
    """
    if at.filled:
        return
    at.filled = True
    at.run("example_wtschat_campaign")
    at.run("example_wtschat_webhooks")
    at.run("example_wtschat_sessions_messages_hourly", until=("running", "success", "failed"))
    # With some that go on waiting.
    at.run("example_wtschat_wait_for_sessions", {"sessions": 5, "conclude": False}, until=())
    at.page.wait_for_timeout(30_000)


@picture("connection-form")
def _connection_form(at: Studio, name: str) -> None:
    """The form of a connection of the type WTS Chat: base URL, API token, port, scheme."""

    def show() -> None:
        at.open("/connections")
        at.page.locator("tr", has_text="wtschat_default").get_by_role("button").nth(1).click()
        at.page.locator("input[name=host]").wait_for()
        at.page.wait_for_timeout(1500)

    at.in_each_language(name, show)


@picture("connection-test")
def _connection_test(at: Studio, name: str) -> None:
    """The answer of Test: which services the token may use."""

    def show() -> None:
        at.open("/connections")
        at.page.locator("tr", has_text="wtschat_default").get_by_role("button").nth(0).click()
        at.page.get_by_text("answers for chat, core, crm").wait_for()
        at.page.wait_for_timeout(1000)

    at.in_each_language(name, show)


@picture("account-graph")
def _account_graph(at: Studio, name: str) -> None:
    """The tasks that load a whole account: most green, messages and notes running, the comparisons still to come."""
    dag_id = "example_wtschat_whole_account"
    run_id = at.run(dag_id, until=())
    # The run of the schedule may come first, and there is one at a time.
    runs = at.api("GET", f"/dags/{dag_id}/dagRuns?order_by=run_after&limit=1")["dag_runs"]
    run_id = runs[0]["dag_run_id"] if runs else run_id
    at.until(lambda: "success" in at.states(dag_id, run_id, "account.wtschat.cards"), "The load of the cards")
    at.store("default_dag_view", '"graph"')
    at.store(f"{dag_id}/open-groups", '["account","account.wtschat"]')
    at.store("react-resizable-panels:graph-ltr", _PANELS % "[99,1]")

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}")
        at.page.locator(".react-flow__node").nth(20).wait_for()
        at.page.wait_for_timeout(2500)

    at.page.set_viewport_size({"width": 1700, "height": 1100})
    at.in_each_language(name, show, clip={"x": 76, "y": 64, "width": 1300, "height": 1030})
    at.page.set_viewport_size(SIZE)
    at.store("default_dag_view", '"grid"')


_PANELS = '{"details-panel,main-panel":{"expandToSizes":{},"layout":%s}}'


@picture("mapped-conclude")
def _mapped_conclude(at: Studio, name: str) -> None:
    """One task for each session that is concluded, all green."""
    dag_id = "example_wtschat_conclude_stale_sessions"
    run_id = at.run(dag_id, conf={"idle_days": 2.9}, seconds=600)

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/conclude_each/mapped")
        at.page.get_by_role("row").nth(2).wait_for()
        at.page.wait_for_timeout(2000)

    at.in_each_language(name, show, clip={"x": 320, "y": 64, "width": 960, "height": 500})


@picture("deferred-wait")
def _deferred_wait(at: Studio, name: str) -> None:
    """Three sensors that wait for sessions in the triggerer: Deferred."""
    dag_id = "example_wtschat_wait_for_sessions"
    run_id = at.run(dag_id, until=(), conf={"conclude": False})
    at.until(lambda: at.states(dag_id, run_id, "wait") == {"deferred"}, "The wait")

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/wait/mapped")
        at.page.get_by_role("row").nth(3).wait_for()
        at.page.wait_for_timeout(2000)

    at.in_each_language(name, show)


@picture("asset-event")
def _asset_event(at: Studio, name: str) -> None:
    """Events of an asset that a watcher has stored, and the Dag run that each has started."""
    dag_id, uri = "example_wtschat_session_events", "wtschat://api.wts.chat/sessions/concluded"
    at.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def rung() -> bool:
        events = at.api("GET", "/assets/events?limit=50")["asset_events"]
        return [run["state"] for event in events for run in event["created_dagruns"]].count("success") >= 2

    at.until(rung, "Two events with their runs")
    (asset,) = [each for each in at.api("GET", "/assets?limit=50")["assets"] if each["uri"] == uri]

    def show() -> None:
        at.open(f"/assets/{asset['id']}")
        at.page.locator(".react-flow__node").nth(1).wait_for()
        at.page.wait_for_timeout(2500)

    at.in_each_language(name, show)


@picture("campaign-log")
def _campaign_log(at: Studio, name: str) -> None:
    """The log of a campaign: planned, sent, looked at, and the figures at its end."""
    dag_id = "example_wtschat_campaign"
    run_id = at.run(dag_id, seconds=600, conf={"campaign": f"spring offer {time.strftime('%H:%M')}"})

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/dispatch")
        at.page.get_by_text("The dispatch:").wait_for()
        at.page.wait_for_timeout(1500)

    at.in_each_language(name, show)


if __name__ == "__main__":
    sys.exit(main())
