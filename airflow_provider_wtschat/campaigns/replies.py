"""Replies by which people ask not to be written to any more."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

WORDS = (
    "sair", "stop", "parar", "pare", "para", "cancelar", "cancele", "cancela", "descadastrar", "descadastre",
    "desinscrever", "remover", "remova", "unsubscribe", "opt out", "nao receber", "parar receber", "parar enviar",
    "pare enviar", "nao enviar", "nao enviem", "nao envie", "me remova", "me tire", "me descadastre",
)  # fmt: skip
"""What counts as such a reply if it is all that is said, besides words of politeness."""
_POLITE = frozenset(
    ("a", "as", "da", "das", "de", "desta", "dessa", "desse", "deste", "do", "dos", "e", "eu", "favor", "gentileza",
     "gostaria", "isso", "isto", "lista", "mais", "mensagem", "mensagens", "mim", "o", "obrigada", "obrigado", "os",
     "ola", "oi", "para", "please", "por", "promocoes", "queria", "quero", "tchau")
)  # fmt: skip
_WORD = re.compile(r"\w+")


def is_opt_out(text: str | None, words: Iterable[str] = WORDS) -> bool:
    """
    Tell whether somebody asks not to be written to any more.

    The whole reply has to say it: case, accents, punctuation and words of politeness are left aside, and a longer reply
    with one of the words in it ("nao quero sair", "vou sair agora") is none.
    """
    said = _words(text or "")
    wanted = {_said(_words(word)) for word in words}
    return bool(said) and (" ".join(said) in {" ".join(_words(word)) for word in words} or _said(said) in wanted - {""})


def _said(words: Iterable[str]) -> str:
    return " ".join(word for word in words if word not in _POLITE)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))
