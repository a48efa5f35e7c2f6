"""Make the pictures of docs/images out of Airflow's UI with a simulated account: ``make pictures``.

Each picture is a function that drives a headless Chromium to what it shows; ``python -m scripts.pictures NAME ...``
makes only those named. It runs on the Airflow of the interpreter that runs it. Each has a browser of its own, and what
it left running in Airflow is ended behind it, so that none waits for the workers or the requests of another.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity

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
PATIENCE = 1800.0
"""Seconds to wait for anything in Airflow: many times what a quiet machine takes."""


_REPLACE = """([old, shown]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(old, shown);
}"""


def _answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  # our own server
        return json.loads(answer.read() or b"null")


_ASKED_AGAIN = tenacity.Retrying(
    # Airflow's SQLite may be locked while the scheduler writes.
    retry=tenacity.retry_if_exception(lambda error: isinstance(error, urllib.error.HTTPError) and error.code >= 500),
    stop=tenacity.stop_after_attempt(10),
    wait=tenacity.wait_fixed(2),
    reraise=True,
)


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
        return _ASKED_AGAIN(_answer, request) if method == "GET" else _answer(request)

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

    def until(self, there: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something.

        :param there: says whether it is there.
        :param what: what to call it in messages.
        :param seconds: how long to wait at most.
        :raises SystemExit: if it does not come; the message says what Airflow does instead.
        """
        print(f"  waits for: {what}", flush=True)
        deadline = time.monotonic() + seconds
        while not there():
            if time.monotonic() > deadline:
                going_on = "".join(f"\n  {each}" for each in self.going_on())
                raise SystemExit(
                    f"Not within {seconds:.0f} s: {what}. What goes on in Airflow:{going_on or ' nothing'}"
                )
            self.stage.processes.check()
            time.sleep(1)

    def runs(self, states: str = "") -> list[dict[str, Any]]:
        """List the runs of all Dags.

        :param states: only those in these states, such as ``&state=running``.
        """
        return list(self.api("GET", f"/dags/~/dagRuns?limit=100{states}")["dag_runs"])

    def going_on(self) -> Iterator[str]:
        """Say of each run that goes on how its tasks stand."""
        for run in self.runs("&state=queued&state=running"):
            path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances?limit=200"
            states = Counter(f"{task['task_id']} {task['state']}" for task in self.api("GET", path)["task_instances"])
            tasks = ", ".join(f"{state} ({count})" for state, count in states.items())
            yield f"{run['dag_id']} {run['dag_run_id']} {run['state']}: {tasks}"

    def clear(self) -> None:
        """Pause all Dags, and end and remove their runs.

        So the next picture shows none of them, and has the workers and the requests for itself.
        """
        self.api("PATCH", "/dags?dag_id_pattern=~", {"is_paused": True})
        for run in self.runs():
            path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"
            if run["state"] in ("queued", "running"):
                self.api("PATCH", path, {"state": "failed"})
            self.api("DELETE", path)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Unpause and trigger a Dag.

        :param dag_id: the Dag.
        :param conf: its parameters.
        :return: id of the run.
        """
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def start(self, dag_id: str) -> str:
        """Unpause and trigger a Dag, and wait until a run of it goes on.

        That may be one of its schedule, which unpausing makes: where there is one run at a time, the one by hand waits.

        :param dag_id: the Dag.
        :return: id of the run that goes on.
        """
        self.trigger(dag_id)
        path, going_on = f"/dags/{dag_id}/dagRuns?state=running&order_by=run_after&limit=1", list[str]()

        def there() -> bool:
            going_on.extend(run["dag_run_id"] for run in self.api("GET", path)["dag_runs"])
            return bool(going_on)

        self.until(there, f"a run of {dag_id}")
        return going_on[0]

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Unpause and trigger a Dag, and wait until its run has succeeded.

        :param dag_id: the Dag.
        :param conf: its parameters.
        :return: id of the run.
        :raises SystemExit: if it fails.
        """
        run_id = self.trigger(dag_id, conf)
        state = ""

        def ended() -> bool:
            nonlocal state
            state = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            return state in ("success", "failed")

        self.until(ended, f"the end of {dag_id}")
        if state == "failed":
            raise SystemExit(f"{dag_id} failed. Logs: {self.stage.processes.logs}")
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


PICTURES: dict[str, Callable[[Studio], None]] = {}
"""What makes each picture."""


def picture(*names: str) -> Callable[[Callable[[Studio], None]], Callable[[Studio], None]]:
    """Register what makes one or more pictures.

    :param names: of the pictures: each becomes ``docs/images/NAME.png``.
    """

    def register(make: Callable[[Studio], None]) -> Callable[[Studio], None]:
        PICTURES.update(dict.fromkeys(names, make))
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
def studio(stage: Stage, images: Path) -> Iterator[Callable[[], Studio]]:
    """Start a browser.

    :param stage: the Airflow that it shows.
    :param images: where pictures go.
    :return: what makes a studio, with nothing remembered of an earlier one.
    """
    from playwright.sync_api import sync_playwright

    images.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)

        def fresh() -> Studio:
            for old in browser.contexts:
                old.close()
            context = browser.new_context(viewport=SIZE, locale="en-US", timezone_id="America/Sao_Paulo")
            page = context.new_page()
            page.set_default_timeout(300_000)
            page.goto(f"{stage.url}/")
            page.wait_for_load_state("load")
            return Studio(stage, page, images)

        try:
            yield fresh
        finally:
            browser.close()


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
    with (
        brought_up(options.home.resolve(), AIRFLOW__CORE__PARALLELISM="8") as stage,
        studio(stage, options.images.resolve()) as fresh,
    ):
        for make in dict.fromkeys(PICTURES[name] for name in PICTURES if name in (options.names or PICTURES)):
            print(make.__doc__, flush=True)
            at = fresh()
            make(at)
            at.clear()
    return 0


@picture("connection-form")
def _connection_form(at: Studio) -> None:
    """The form of a connection of the type WTS Chat: base URL, API token, port, scheme."""

    def show() -> None:
        at.open("/connections")
        at.page.locator("tr", has_text="wtschat_default").get_by_role("button").nth(1).click()
        at.page.locator("input[name=host]").wait_for()
        at.page.wait_for_timeout(1500)

    at.in_each_language("connection-form", show)


@picture("connection-test")
def _connection_test(at: Studio) -> None:
    """The answer of Test: which services the token may use."""

    def show() -> None:
        at.open("/connections")
        at.page.locator("tr", has_text="wtschat_default").get_by_role("button").nth(0).click()
        at.page.get_by_text("answers for chat, core, crm").wait_for()
        at.page.wait_for_timeout(1000)

    at.in_each_language("connection-test", show)


@picture("account-graph")
def _account_graph(at: Studio) -> None:
    """The tasks that load a whole account: most green, messages and notes running."""
    dag_id = "example_wtschat_whole_account"
    run_id = at.start(dag_id)
    running = [f"account.wtschat.{name}" for name in ("messages", "card_notes", "session_notes")]
    at.until(lambda: all(at.states(dag_id, run_id, task) == {"running"} for task in running), " and ".join(running))
    at.store("default_dag_view", '"graph"')
    at.store(f"{dag_id}/open-groups", '["account","account.wtschat"]')
    at.store("react-resizable-panels:graph-ltr", _PANELS % "[99,1]")

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}")
        at.page.locator(".react-flow__node").nth(20).wait_for()
        at.page.wait_for_timeout(2500)

    at.page.set_viewport_size({"width": 1700, "height": 1100})
    at.in_each_language("account-graph", show, clip={"x": 76, "y": 64, "width": 1300, "height": 1030})


_PANELS = '{"details-panel,main-panel":{"expandToSizes":{},"layout":%s}}'


@picture("mapped-conclude")
def _mapped_conclude(at: Studio) -> None:
    """One task for each session that is concluded, all green."""
    dag_id = "example_wtschat_conclude_stale_sessions"
    run_id = at.run(dag_id, {"idle_days": 2.9})

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/conclude_each/mapped")
        at.page.get_by_role("row").nth(2).wait_for()
        at.page.wait_for_timeout(2000)

    at.in_each_language("mapped-conclude", show, clip={"x": 320, "y": 64, "width": 960, "height": 500})


@picture("deferred-wait")
def _deferred_wait(at: Studio) -> None:
    """Three sensors that wait for sessions in the triggerer: Deferred."""
    dag_id = "example_wtschat_wait_for_sessions"
    run_id = at.trigger(dag_id, {"conclude": False})
    at.until(lambda: at.states(dag_id, run_id, "wait") == {"deferred"}, f"{dag_id}.wait deferred")

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/wait/mapped")
        at.page.get_by_role("row").nth(3).wait_for()
        at.page.wait_for_timeout(2000)

    at.in_each_language("deferred-wait", show)


@picture("asset-event")
def _asset_event(at: Studio) -> None:
    """Events of an asset that a watcher has stored, and the Dag run that each has started."""
    dag_id, uri = "example_wtschat_session_events", "wtschat://api.wts.chat/sessions/concluded"
    at.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    (asset,) = [each for each in at.api("GET", "/assets?limit=50")["assets"] if each["uri"] == uri]

    def rung() -> bool:
        events = at.api("GET", f"/assets/events?asset_id={asset['id']}&limit=50")["asset_events"]
        return [run["state"] for event in events for run in event["created_dagruns"]].count("success") >= 2

    at.until(rung, f"two events of {uri} with their runs")

    def show() -> None:
        at.open(f"/assets/{asset['id']}")
        at.page.locator(".react-flow__node").nth(1).wait_for()
        at.page.wait_for_timeout(2500)

    at.in_each_language("asset-event", show)


@picture("campaign-log")
def _campaign_log(at: Studio) -> None:
    """The log of a campaign: planned, sent, looked at, and the figures at its end."""
    dag_id = "example_wtschat_campaign"
    run_id = at.run(dag_id, {"campaign": f"spring offer {time.strftime('%H:%M')}"})

    def show() -> None:
        at.open(f"/dags/{dag_id}/runs/{run_id}/tasks/dispatch")
        at.page.get_by_text("The dispatch:").wait_for()
        at.page.wait_for_timeout(1500)

    at.in_each_language("campaign-log", show)


@picture(*(f"page-{theme}" for theme in THEMES))
def _page_of_provider(at: Studio) -> None:
    """The page of the provider, in both themes, with loads, a campaign, and somebody who waits."""
    at.run("example_wtschat_campaign")
    # No other picture comes behind this one: with webhooks, watchers look for themselves every ten minutes only, and a
    # simulated account goes on, and posts, when somebody asks it for something.
    at.run("example_wtschat_webhooks")
    account, messages = "example_wtschat_whole_account", "account.wtschat.messages"
    run_id = at.start(account)
    at.until(lambda: at.states(account, run_id, messages) == {"running"}, f"{account}.{messages} running")
    # With some that go on waiting.
    waiting = "example_wtschat_wait_for_sessions"
    wait_id = at.trigger(waiting, {"sessions": 5, "conclude": False})
    at.until(lambda: at.states(waiting, wait_id, "wait") == {"deferred"}, f"{waiting}.wait deferred")
    # High enough for all that the page has; the menu's lower end is not wanted.
    at.page.set_viewport_size(SIZE | {"height": 1500})
    for theme in THEMES:
        at.theme(theme)
        at.open("/plugin/wtschat")
        frame = at.page.frame_locator("iframe[title='WTS Chat']")
        frame.locator("html[data-ready]").wait_for()
        frame.get_by_text(account).first.wait_for()
        at.keep(f"page-{theme}", clip={"x": 0, "y": 0, "width": 1280, "height": 1240})


if __name__ == "__main__":
    sys.exit(main())
