"""The page's sentences (area `page`) in the languages of `[general] language`."""

import functools
import json
import re

from agent.health.alarm import ROLES
from agent.health.alarm import WORDS as ALARM_WORDS
from agent.web.page.pages import page_folders
from config.locale.lookup import LANGUAGES, WRITTEN, in_language, translation, words
from config.settings.layouts import LAYOUT_KINDS

NAMES = {"id": "Bahasa Indonesia", "en": "English"} | {
    language: translation(language).name for language in LANGUAGES if language not in WRITTEN
}

_PLACE = re.compile(r"\{(\w+)\}")
_NAMED = re.compile(r'"([a-z]+(?:\.[a-z0-9-]+)+)"')
_BEGUN = re.compile(r"`((?:[a-z-]+\.)+)\$\{")  # keys in scripts: whole, or a prefix before an inserted word


@functools.cache
def all_texts(language: str) -> dict[str, str]:
    """Return all sentences by key; English ones for missing translations."""
    names = {f"role.{role}": said for role, said in ROLES.items()} | {"subject.synthetic": ALARM_WORDS["synthetic"]}
    layouts = {f"layout.{name}": in_language(kind.title, language) for name, kind in LAYOUT_KINDS.items()}
    return {key: said.of(language) for key, said in (words("page") | names).items()} | layouts


@functools.cache
def script_texts(language: str) -> bytes:
    """Return the sentences used by scripts as JSON; templates use the rest."""
    scripts = sorted(script for folder in page_folders("static") for script in folder.glob("*.js"))
    code = "\n".join(script.read_text(encoding="utf-8") for script in scripts)
    whole, begun = set(_NAMED.findall(code)), tuple(set(_BEGUN.findall(code)))
    found = {key: text for key, text in all_texts(language).items() if key in whole or key.startswith(begun)}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def text(language: str, key: str, **facts: object) -> str:
    """Return a sentence with `facts` in its braces. Raises KeyError for an unknown key."""
    return _PLACE.sub(lambda place: str(facts[place[1]]), all_texts(language)[key])
