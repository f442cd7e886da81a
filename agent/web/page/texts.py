"""The sentences of the page, in the languages of `[general] language`: texts/id.json and texts/en.json.

The templates read them here, the browser loads the same files.
"""

import functools
import json
import re
from pathlib import Path

from config.messages import LANGUAGES

FOLDER = Path(__file__).parent / "texts"
NAMES = {"id": "Bahasa Indonesia", "en": "English"}
"""What each language calls itself."""

_PLACE = re.compile(r"\{(\w+)\}")


@functools.cache
def texts(language: str) -> dict[str, str]:
    """Return all sentences of a language, by their keys."""
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return found


def text(language: str, key: str, **facts: object) -> str:
    """Return one sentence, its places in braces filled with facts; raises KeyError for one that there is none of."""
    return _PLACE.sub(lambda place: str(facts[place[1]]), texts(language)[key])


def known(language: str) -> str:
    """Return `language` if there are sentences in it, else the first there are."""
    return language if language in LANGUAGES else LANGUAGES[0]
