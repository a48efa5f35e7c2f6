"""
Draw the diagrams of the documentation: ``make diagrams``.

A diagram stands in a page as the text that it is made of, and the repository's pages show it drawn. The site shows the
SVG in docs/diagrams instead, so that it needs no other host and no script. ``<!-- diagram: NAME: WHAT IT SHOWS -->``
stands before each. Needs Chromium, and npm for Mermaid, which draws.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.local import CHROMIUM, CHROMIUM_FLAGS, ROOT

DIAGRAMS = ROOT / "docs" / "diagrams"
MERMAID = "mermaid@11.17.2"
BLOCK = re.compile(r"^<!-- diagram: ([a-z-]+): ([^\n]+) -->\n\n```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PAGE = """<!doctype html><meta charset="utf-8"><body><script src="mermaid.min.js"></script><script>
(async () => {
  const sources = %s, drawn = {};
  mermaid.initialize({startOnLoad: false, theme: "neutral", htmlLabels: false, fontFamily: "Arial, sans-serif",
    deterministicIds: true, handDrawnSeed: 1, flowchart: {htmlLabels: false}, themeVariables: {fontSize: "15px"}});
  for (const [name, source] of Object.entries(sources)) drawn[name] = (await mermaid.render(name, source)).svg;
  document.body.innerHTML = "<pre id=drawn></pre>";
  document.getElementById("drawn").textContent = JSON.stringify(drawn);
})().catch(error => { document.body.innerHTML = "<pre id=failed></pre>";
  document.getElementById("failed").textContent = error; });
</script>"""


@dataclass(frozen=True)
class Diagram:
    """
    A diagram of a page.

    :param name: of the file
    :param shows: what somebody hears who does not see it
    :param source: what it is made of
    """

    name: str
    shows: str
    source: str

    @property
    def digest(self) -> str:
        """Tells whether the picture is that of the source."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """Where the picture is."""
        return DIAGRAMS / f"{self.name}.svg"

    def is_drawn(self) -> bool:
        """Say whether the picture is there and is that of the source."""
        return self.path.exists() and f"<!-- {self.digest} -->" in self.path.read_text()


def diagrams() -> Iterator[Diagram]:
    """Find the diagrams of all pages."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for found in BLOCK.finditer(page.read_text()):
            yield Diagram(*found.groups())


def main() -> int:
    """Draw what is not drawn, and remove what no page shows."""
    DIAGRAMS.mkdir(exist_ok=True)
    there = list(diagrams())
    for path in {*DIAGRAMS.glob("*.svg")} - {diagram.path for diagram in there}:
        path.unlink()
    todo = [diagram for diagram in there if not diagram.is_drawn()]
    if todo:
        with tempfile.TemporaryDirectory() as folder:
            drawn = draw(todo, Path(folder))
        for diagram in todo:
            diagram.path.write_text(f"{drawn[diagram.name]}\n<!-- {diagram.digest} -->\n")
            print(f"{diagram.path} ({diagram.path.stat().st_size // 1024} KB)")
    return 0


def draw(todo: list[Diagram], folder: Path) -> dict[str, str]:
    """
    Let Mermaid draw.

    :param todo: the diagrams
    :param folder: for its files
    :return: SVG by the diagram's name
    :raises SystemExit: if a diagram is wrong
    """
    subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "package/dist/mermaid.min.js"], cwd=folder, check=True)
    page = folder / "package" / "dist" / "page.html"
    page.write_text(_PAGE % json.dumps({diagram.name: diagram.source for diagram in todo}).replace("</", "<\\/"))
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed (Debian: apt-get install chromium)")
    options = [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000", "--dump-dom", page.as_uri()]
    command = [CHROMIUM, "--headless", *CHROMIUM_FLAGS, *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r'<pre id="(drawn|failed)">(.*?)</pre>', done.stdout, re.DOTALL)
    if not found or found[1] == "failed":
        raise SystemExit(f"Mermaid drew nothing: {found[2] if found else done.stderr}")
    text = found[2].replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u00a0").replace("&amp;", "&")
    return {str(name): str(svg) for name, svg in json.loads(text).items()}


if __name__ == "__main__":
    sys.exit(main())
