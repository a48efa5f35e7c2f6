"""
What the package index shows of the project: its addresses, and a README whose links work there.

Hatchling runs this while it builds. The address of the repository stands in pyproject.toml alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")


class Metadata(MetadataHookInterface):  # type: ignore[misc]  # hatchling is only there while it builds
    """Sets ``urls`` and ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """
        Set what pyproject.toml calls dynamic.

        :param metadata: the table ``[project]``, to be changed
        """
        repository = self.config["repository"]
        metadata["urls"] = {
            "Homepage": repository,
            "Documentation": f"{repository}/blob/main/docs/index.md",
            "Source": repository,
            "Issues": f"{repository}/issues",
            "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        }
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _LINK.sub(rf"]({repository}/blob/v{metadata['version']}/\1)", text),
        }
