"""Which option an answer means. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatArgumentError


class Options:
    """
    The options of a question, and what may be answered for each.

    An answer means an option if it is its text, its number, or one of its synonyms, whatever the case, the accents and
    the punctuation. It has to be all of the answer: "não quero sim" is not "sim".

    :param options: the options, as the contact sees them
    :param synonyms: by option, further texts that mean it. Default: none
    :raises WtsChatArgumentError: if there is none, or one text would mean two of them
    """

    def __init__(self, options: Any, synonyms: Any = None) -> None:
        self.options: Sequence[str] = convert.required("options", convert.texts("options", options))
        if not self.options:
            raise WtsChatArgumentError(argument="options", reason="an empty list was given; give at least one option")
        self._meanings: dict[str, str] = {}
        for option in self.options:
            self._add("options", option, option)
        if not any(meaning.isdigit() for meaning in self._meanings):
            # Where an option is a number itself, the place in the list would be mistaken for it.
            for number, option in enumerate(self.options, start=1):
                self._add("options", str(number), option)
        for option, texts in (convert.mapping("synonyms", synonyms) or {}).items():
            if option not in self.options:
                raise WtsChatArgumentError(argument="synonyms", reason=f"{option!r} is none of the options")
            for text in convert.texts("synonyms", texts) or ():
                self._add("synonyms", text, option)

    def _add(self, argument: str, text: str, option: str) -> None:
        plain = _plain(text)
        if not plain:
            raise WtsChatArgumentError(argument=argument, reason=f"{text!r} has neither letters nor digits")
        if self._meanings.setdefault(plain, option) != option:
            reason = f"{text!r} would mean {self._meanings[plain]!r} and {option!r}; give each its own"
            raise WtsChatArgumentError(argument=argument, reason=reason)

    def meant_by(self, answer: str | None) -> str | None:
        """
        Return the option that an answer means, ``None`` if it is not clear.

        :param answer: text of a message; that of the button where one was pressed, since the API shows it as a text
        """
        return self._meanings.get(_plain(answer or ""))

    def listed(self) -> str:
        """Return the options as lines, with their numbers where a number will do for an answer."""
        numbered = self._meanings.get("1") == self.options[0]
        lines = [f"{number}. {option}" for number, option in enumerate(self.options, start=1)]
        return "\n".join(lines if numbered else self.options)

    def among(self, argument: str, value: Any) -> list[str] | None:
        """
        Check options that were given by their texts.

        :param argument: name of the argument, for the error
        :raises WtsChatArgumentError: if one is not among the options
        """
        chosen = convert.texts(argument, value)
        for option in chosen or ():
            if option not in self.options:
                raise WtsChatArgumentError(argument=argument, reason=f"{option!r} is none of the options")
        return chosen


def plain_mapping(options: Options, options_mapping: Any) -> Mapping[str, str]:
    """
    Convert what each option stands for.

    :param options_mapping: by option, id of a task or of a task group
    :raises WtsChatArgumentError: if a key is not among the options
    """
    mapping = convert.mapping("options_mapping", options_mapping) or {}
    options.among("options_mapping", list(mapping))
    return {option: convert.required_text("options_mapping", task_id) for option, task_id in mapping.items()}


def _plain(text: str) -> str:
    """Return the letters and digits of a text, its words apart by one blank."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter))
    return " ".join("".join(letter if letter.isalnum() else " " for letter in letters).split())
