"""`python -m tests.prose` checks some of CONTRIBUTING's prose rules, and names every line that breaks one."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SETTINGS = "tests/prose.toml"
PACKAGES = ("agent", "capture", "config", "devices", "recorder")
LONGEST_SUBJECT, LONGEST_SENTENCE = 72, 30  # in characters; in words
_OBLIQUE = re.compile(r"(?i)\b(who|whom|whose|whoever|what|whatever|whichever|that which|of which|of whom)\b")
_PREFIX = re.compile(r"\.?\w[\w./-]*(, \.?\w[\w./-]*)*: \S")
# Docstrings by their place: parsing the tree would take fifteen times as long. A test compares the two ways.
_DOCSTRING = re.compile(
    r'(?:\A|:(?:[ \t]+#[^\n]*)?\n)(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*[rR]?"""(?P<text>.*?)"""', re.DOTALL
)
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+|\s*>\s?")
_END = re.compile(r"(?<=[.!?…])[\"”)*_]*\s+(?=[^a-z])")


class Found(NamedTuple):
    """A docstring or a sentence, and its place."""

    path: str
    line: int
    text: str


def wrong_subjects(subjects: Sequence[str]) -> list[str]:
    """Return the subjects that are too long or have no path in front."""
    return [subject for subject in subjects if len(subject) > LONGEST_SUBJECT or not _PREFIX.match(subject)]


def subjects_since(commit: str, root: Path) -> list[str] | None:
    """Return the subjects of all commits after `commit`, merges apart; None without git, or where it is no ancestor."""
    git = ["git", "-C", str(root)]
    try:
        subprocess.run([*git, "merge-base", "--is-ancestor", commit, "HEAD"], check=True, capture_output=True)
        log = [*git, "log", "--no-merges", "--format=%s", f"{commit}..HEAD"]
        return subprocess.run(log, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None


def oblique_docstrings(text: str, path: str = "") -> Iterator[Found]:
    """Give the first sentences of a module's docstrings that define a thing by "what", "who" and the like."""
    for docstring in _DOCSTRING.finditer(text):
        sentence = re.split(r"(?<=[.:;])\s", docstring["text"].strip(), maxsplit=1)[0]
        if _OBLIQUE.search(sentence):
            yield Found(path, text.count("\n", 0, docstring.start("text")) + 1, " ".join(sentence.split()))


def long_sentences(text: str, path: str = "") -> Iterator[Found]:
    """Give the sentences of a page that are too long; code, tables and headings have none."""
    for line, paragraph in _paragraphs(text):
        for sentence in _END.split(_plain(paragraph)):
            if sum(any(map(str.isalnum, word)) for word in sentence.split()) > LONGEST_SENTENCE:
                yield Found(path, line, sentence)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Give each paragraph and list item, with the number of its first line."""
    first, lines, is_fenced = 0, list[str](), False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_fence = line.lstrip().startswith("```")
        is_fenced ^= is_fence
        is_code = is_fence or is_fenced or (not lines and line.startswith("    "))
        is_no_prose = is_code or not line.strip() or line.startswith(("|", "#", "<"))
        if lines and (is_no_prose or _ITEM.match(line)):
            yield first, " ".join(lines)
            lines = []
        if not is_no_prose:
            first = first if lines else number
            lines.append(_ITEM.sub("", line, count=1).strip())


def _plain(paragraph: str) -> str:
    """Return a paragraph as it is read: an image is nothing, code is one word, a link is its text."""
    paragraph = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", paragraph)
    paragraph = re.sub(r"`[^`]*`", lambda code: re.sub(r"\s+", "_", code[0]), paragraph)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)


def wrong_sentences(root: Path) -> Iterator[Found]:
    """Give the oblique docstrings and the long sentences of a tree."""
    modules = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "tests").rglob("*.md")]
    read = [path for path in sorted(pages) if (root / "docs/reference") not in path.parents]
    for path in modules:
        yield from oblique_docstrings(*_read(path, root))
    for path in read:
        yield from long_sentences(*_read(path, root))


def _read(path: Path, root: Path) -> tuple[str, str]:
    return path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()


def main(root: Path = ROOT) -> int:
    """Name all that is wrong, and return the exit status."""
    since = tomllib.loads((root / SETTINGS).read_text(encoding="utf-8"))["commits_since"]
    subjects = subjects_since(since, root)
    if subjects is None:
        _say([f"subjects are not checked: there is no history back to {since[:12]} here"])
    wrong = [f"{path}:{line}: {sentence}" for path, line, sentence in wrong_sentences(root)]
    wrong += [
        f"not 'PATH: subject' of at most {LONGEST_SUBJECT} characters: {one}" for one in wrong_subjects(subjects or ())
    ]
    _say(wrong)
    return 1 if wrong else 0


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"prose: {line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
