"""The receiver as a program of its own: for a host at the edge of the network, or beside Airflow 2."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks import webhook_address
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from airflow_provider_wtschat.webhooks.receiver import Receiver


def main(arguments: list[str] | None = None) -> int:
    """
    Serve until SIGTERM or SIGINT.

    :return: the code to exit with
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_wtschat.webhooks",
        description="Receive webhooks of WTS Chat and keep them in the inbox of [wtschat] webhook_inbox. "
        "TLS ends before it, in a proxy.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8088, help="port to listen on (default: 8088)")
    options = parser.parse_args(arguments)
    try:
        import uvicorn
    except ImportError:
        print(
            "The receiver needs the extra 'webhooks': pip install 'airflow-provider-wtschat[webhooks]'", file=sys.stderr
        )
        return 2
    try:
        if not webhook_address.secrets():
            print("[wtschat] webhook_secret is empty; set it to a long random text", file=sys.stderr)
            return 2
        inbox = get_inbox()
    except WtsChatArgumentError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Webhooks are kept in {inbox.describe()}", flush=True)
    uvicorn.run(
        Receiver(inbox),
        host=options.host,
        port=options.port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_keep_alive=30,
        limit_concurrency=5000,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
