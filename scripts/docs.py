"""
Build the site of the documentation and check it: ``make docs``.

A warning of Sphinx, such as a link or an anchor that leads nowhere, is an error. So is a public name that the reference
does not show, a core page that is not wholly in Portuguese, or a page that needs something from another host: the site
also works offline, search included.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from scripts.diagrams import diagrams
from scripts.local import ROOT
from scripts.names import PACKAGE, SNAPSHOT
from scripts.translations import catalog, extract, left, report, sphinx, templates, texts

SITE = ROOT / "build" / "docs"
START = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
PORTUGUESE = ("cliente", "limite", "nome")
"""Words of examples and of the glossary."""
# What a browser loads; links that a reader may follow are another matter.
_LOADED = re.compile(
    r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+rel=\"stylesheet\"[^>]+href=\"https?://"
)


def main() -> None:
    """Build, check, and print the figures."""
    extract()
    warnings = sphinx("html", SITE) + sphinx("html", SITE / "pt-br", "-t", "portuguese")
    (SITE / "index.html").write_text(START)
    pages = [*SITE.rglob("*.html")]
    public, there = json.loads(SNAPSHOT.read_text()), shown()
    problems = {
        "not in the reference": [name for name in public if name not in there],
        "loads something from another host": [
            str(page.relative_to(SITE)) for page in pages if _LOADED.search(page.read_text())
        ],
        "not drawn as it is now (make diagrams)": [diagram.name for diagram in diagrams() if not diagram.is_drawn()],
        "in English on the Portuguese site": [*left_in_english()],
        "misspelt": misspelt(),
    }
    for problem, found in problems.items():
        for each in found:
            print(f"{problem}: {each}")
    print(
        f"{report()}\n"
        f"\npages            {len(pages)}, {len([*(SITE / 'pt-br').rglob('*.html')])} of them in Portuguese"
        f"\nwarnings         {len(warnings)}"
        f"\npublic names     {len(public)}, {len(problems['not in the reference'])} of them not in the reference"
        f"\nother problems   {sum(map(len, problems.values()))}"
        f"\nlinks elsewhere  {len(external())}, which nobody follows here"
        f"\nthe site         {SITE / 'index.html'}"
    )
    unfinished = any(untranslated or fuzzy for _, untranslated, fuzzy in left().values())
    raise SystemExit(1 if warnings or any(problems.values()) or unfinished else 0)


def english_pages() -> list[Path]:
    """List the pages that are written in English."""
    return sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")} - {ROOT / "README.pt-BR.md"})


def misspelt() -> list[str]:
    """
    Look for words that are known to be misspelt.

    :return: a line for each
    """
    command = [sys.executable, "-m", "codespell_lib", f"--ignore-words-list={','.join(PORTUGUESE)}"]
    done = subprocess.run([*command, *map(str, english_pages())], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() + done.stderr.splitlines()


def external() -> set[str]:
    """Collect the addresses elsewhere that the pages lead to."""
    texts_ = (page.read_text() for page in english_pages())
    return {link for text in texts_ for link in re.findall(r"\]\((https?://[^)\s]+)\)", text)}


def left_in_english() -> Iterator[str]:
    """
    Look on the Portuguese site for texts that have a translation, such as one that Sphinx could not use.

    :return: pages and texts
    """
    for page, template in templates():
        shown_there = (SITE / "pt-br" / "docs" / f"{page}.html").read_text()
        for message in texts(template):
            text, translated = str(message.id), catalog(page).get(message.id)
            plain = " " in text and not re.search(r"[`*\[\]<>&'\"_\\]|\.\.\.", text)  # HTML shows it as it is
            if plain and translated and translated.string != text and f">{text}<" in shown_there:
                yield f"{page}: {text}"


def shown() -> set[str]:
    """
    Read what the reference has entries for.

    :return: names, without that of the package
    """
    *_, body = (SITE / "objects.inv").read_bytes().split(b"\n", 4)  # four lines, and the rest compressed
    names = re.findall(rf"^{PACKAGE}\.(\S+) py:", zlib.decompress(body).decode(), re.MULTILINE)
    # The simulator's names stand under the modules that define them.
    return {re.sub(r"^simulator\.[a-z]+\.(?=[A-Z])", "simulator.", name) for name in names}


if __name__ == "__main__":
    main()
