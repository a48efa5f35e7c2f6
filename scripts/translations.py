"""
Bring the Portuguese texts of the documentation up to date with the English pages: ``make translations``.

The pages stay as they are; what stands in them, paragraph by paragraph, goes into a catalog for each page under
docs/locale, with its translation. A text that has changed keeps its old translation, marked as fuzzy. What consists of
code alone needs no translator.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from scripts.local import ROOT

EXTRACTED = ROOT / "build" / "gettext"
CATALOGS = ROOT / "docs" / "locale" / "pt_BR" / "LC_MESSAGES"
ENGLISH_ONLY = {"api", "data-dictionary", "how-it-is-built", "policy", "versions"}
"""Pages of docs/ that stay English: the reference, and what contributors read. All others are core pages."""
HEADER = """\
msgid ""
msgstr ""
"Language: pt_BR\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
_CODE = re.compile(r"`[^`]*`|\bWtsChat\w+|\]\([^)]*\)|<[^>]*>|https?://\S+")


def main() -> None:
    """Extract, merge, and print how much is left."""
    extract()
    for page, template in templates():
        save(page, merged(template, catalog(page)))
    for path in CATALOGS.glob("docs/*.po"):
        if path.stem not in dict(templates()):
            path.unlink()
    print(report())


def sphinx(builder: str, output: Path, *options: str) -> list[str]:
    """
    Run Sphinx over the pages.

    :param builder: what it makes, such as ``html``
    :param output: where to
    :param options: further ones of sphinx-build
    :return: its warnings
    :raises SystemExit: if it fails
    """
    trees = ROOT / "build" / "doctrees" / output.name
    command = [sys.executable, "-m", "sphinx", "-q", "-b", builder, "-c", str(ROOT / "docs"), "-d", str(trees)]
    done = subprocess.run([*command, *options, str(ROOT), str(output)], stderr=subprocess.PIPE, text=True, check=False)
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        raise SystemExit(done.returncode)
    return [line for line in done.stderr.splitlines() if re.search(r"WARNING|ERROR|CRITICAL", line)]


def extract() -> None:
    """Take the texts out of the pages."""
    sphinx("gettext", EXTRACTED, "-t", "texts")


def templates() -> Iterator[tuple[str, Catalog]]:
    """
    Read what was extracted.

    :return: each core page with its texts
    """
    for path in sorted(EXTRACTED.glob("docs/*.pot")):
        if path.stem not in ENGLISH_ONLY:
            with path.open("rb") as file:
                yield path.stem, read_po(file)


def catalog(page: str) -> Catalog:
    """
    Read the translations of a page.

    :param page: its name
    """
    path = CATALOGS / "docs" / f"{page}.po"
    if not path.exists():
        return Catalog(locale="pt_BR")
    with path.open("rb") as file:
        return read_po(file, locale="pt_BR")


def merged(template: Catalog, translated: Catalog) -> Catalog:
    """
    Put the texts of a page and the translations that there are together.

    :param template: the texts
    :param translated: what was translated before
    """
    translated.update(template)
    translated.obsolete.clear()
    for message in texts(translated):
        message.locations, message.auto_comments, message.previous_id = [], [], []
        message.flags &= {"fuzzy"}  # not that braces may be Python's
        if not re.search("[^\\W\\d]", _CODE.sub("", str(message.id))):
            message.string = message.id
            message.flags.discard("fuzzy")
        # Else it would be a list, and no heading.
        message.string = re.sub(r"^(\d+)\. ", r"\1\\. ", str(message.string))
    return translated


def texts(messages: Catalog) -> Iterator[Message]:
    """
    Leave out the header.

    :param messages: a catalog
    """
    return (message for message in messages if message.id)


def save(page: str, messages: Catalog) -> None:
    """
    Write the translations of a page, without what differs from run to run.

    :param page: its name
    :param messages: its texts and translations
    """
    path = CATALOGS / "docs" / f"{page}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(HEADER.encode())
        write_po(file, messages, width=120, omit_header=True)


def left() -> dict[str, tuple[int, int, int]]:
    """
    Count what is left to do, against what was extracted.

    :return: for each core page how many texts it has, how many of them are not translated, and how many are fuzzy
    """
    counts = {}
    for page, template in templates():
        there = {message.id: message for message in texts(catalog(page))}
        found = [there.get(message.id) for message in texts(template)]
        missing = sum(not message or not message.string for message in found)
        fuzzy = sum(bool(message and message.fuzzy) for message in found)
        counts[page] = (len(found), missing, fuzzy)
    return counts


def report() -> str:
    """Say how much is left, page by page."""
    lines = [f"{'page':28} texts  untranslated  fuzzy"]
    counts = left()
    for page, (total, missing, fuzzy) in counts.items():
        lines.append(f"{page:28} {total:5} {missing or '':13} {fuzzy or '':6}")
    total, missing, fuzzy = (sum(column) for column in zip(*counts.values(), strict=True))
    return "\n".join([*lines, f"{'core pages':28} {total:5} {missing:13} {fuzzy:6}"])


if __name__ == "__main__":
    main()
