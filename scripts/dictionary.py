"""Write the data dictionary: ``python -m scripts.dictionary``."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_wtschat.warehouse.dictionary import markdown

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "data-dictionary.md").write_text(markdown())
