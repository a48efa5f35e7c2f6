"""``python -m airflow_provider_wtschat.simulator``: a simulator on a port, until Ctrl-C."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
from dataclasses import fields
from types import FrameType
from typing import Any

from airflow_provider_wtschat.simulator.options import Options, parse_shares
from airflow_provider_wtschat.simulator.server import Application
from airflow_provider_wtschat.simulator.simulator import bind, connection_json, connection_uri, make_server
from airflow_provider_wtschat.simulator.world import World


def _limits(text: str) -> bool | dict[str, Any]:
    if text in ("on", "off"):
        return text == "on"
    settings: dict[str, Any] = json.loads(text)
    return settings


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READERS: dict[str, Any] = {
    "limits": _limits,
    "statuses": parse_shares,
    "lives": parse_shares,
    "scopes": _names,
    "faults": str,
    "now": str,
    "contacts": int,
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: one option for each field of `Options`."""
    result = argparse.ArgumentParser(
        prog="python -m airflow_provider_wtschat.simulator", description="A stand-in for the WTS Chat API on 127.0.0.1."
    )
    result.add_argument("--port", type=int, default=0, help="port; a free one by default")
    result.add_argument("--options", type=Options.from_json, help="all options at once, as JSON; others are ignored")
    result.add_argument("--exit-with-parent", action="store_true", help="end with the process that started this one")
    defaults = Options()
    for item in fields(Options):
        flag = "--" + item.name.replace("_", "-")
        default = getattr(defaults, item.name)
        text = item.metadata["help"].replace("%", "%%")
        if isinstance(default, bool) and item.name not in _READERS:
            result.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
        else:
            reader = _READERS.get(item.name, type(default))
            choices = item.metadata["choices"] or None
            result.add_argument(flag, type=reader, default=default, choices=choices, help=text)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal says stop.

    :param arguments: the command line; that of the process by default.
    :return: exit code; 1 in strict mode if a request broke the contract.
    """
    given = parser().parse_args(arguments)
    options = given.options or Options(**{item.name: getattr(given, item.name) for item in fields(Options)})
    world = World(options)
    gc.freeze()  # the account stays, so there is no use in looking through it for garbage
    application = Application(world)
    sock = bind(given.port)
    server = make_server(application, sock)
    ready = {
        "url": world.base_url,
        "token": options.token,
        "pid": os.getpid(),
        "connection_uri": connection_uri(world.base_url, options.token),
        "connection_json": connection_json(world.base_url, options.token),
    }
    if given.exit_with_parent:
        _watch_parent(os.getppid())

    def stop(signum: int, frame: FrameType | None) -> None:
        server.should_exit = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    # The server would raise the signal once more when it is done; in another thread it leaves signals alone.
    serving = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    serving.start()
    while not server.started and serving.is_alive():
        serving.join(0.005)
    print(json.dumps(ready), flush=True)
    if not given.exit_with_parent:  # its parent knows, and speaks to the user itself
        about = f"{len(world.sessions)} sessions, token {options.token}"
        print(f"WTS Chat simulator: {ready['url']}, {about}; Ctrl-C ends it", file=sys.stderr, flush=True)
    while serving.is_alive():
        serving.join(0.2)
    for violation in world.books.violations:
        print(f"Breach of the contract: {violation}", file=sys.stderr)
    return 1 if options.strict and world.books.violations else 0


def _watch_parent(parent: int) -> None:
    def watch() -> None:
        tick = threading.Event()
        while os.getppid() == parent:
            tick.wait(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
