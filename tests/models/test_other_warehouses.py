"""The models compile for the databases that they are not built on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.dbt_rendering import MODELS
from tests.models.dbt import DBT, MISSING, PACKAGE

pytestmark = [pytest.mark.soak, pytest.mark.skipif(not DBT.exists(), reason=MISSING)]


@pytest.mark.parametrize("target", ["bigquery", "snowflake"])
def test_models_compile_without_a_connection(target: str, tmp_path: Path) -> None:
    if not list(DBT.parents[1].glob(f"lib/python3*/site-packages/dbt/adapters/{target}")):
        pytest.skip(f"dbt-{target} is not beside dbt: `make models` installs it")
    done = subprocess.run(
        [DBT, "--no-use-colors", "compile", "--quiet", "--no-populate-cache", "--no-introspect",
         "--project-dir", PACKAGE, "--profiles-dir", PACKAGE / "profiles", "--vars", "{wtschat_assume_tables: true}"],
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_LOG_PATH": str(tmp_path / "logs"),
             "DBT_TARGET_PATH": str(tmp_path / "target"), "WTSCHAT_DBT_TARGET": target},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    compiled = {path.stem for path in (tmp_path / "target" / "compiled" / "wtschat" / "models").rglob("*.sql")}
    assert compiled >= set(MODELS)
