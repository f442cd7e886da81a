"""Reads the text of slides with tesseract, if installed, in a child process with limits."""

import csv
import functools
import io
import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from recorder.model.names import one_line, shortened

PROGRAM = "tesseract"
ONE_S = 20.0  # deadline for one slide
_LONGEST = 4000  # characters kept of a slide
_TITLE = 120
_SURE = 40.0  # least confidence of 100: below, words are mostly dirt
_MODEST = ("prlimit", "--as=2000000000", "nice", "-n", "15")  # limits of the child, since a session may run beside it


@functools.cache
def installed(program: str = PROGRAM) -> frozenset[str]:
    """Return the languages installed, by tesseract's codes; none without tesseract."""
    if shutil.which(program) is None:
        return frozenset()
    try:
        done = subprocess.run(
            [program, "--list-langs"], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return frozenset()
    return frozenset(done.stdout.split()) if done.returncode == 0 else frozenset()


def read_slide(picture: Path, languages: Sequence[str], until_s: float, program: str = PROGRAM) -> tuple[str, str]:
    """Return title and text of the slide in an image file; both are "" on failure or after `until_s` (monotonic)."""
    known = [language for language in languages if language in installed(program)]
    left_s = until_s - time.monotonic()
    if not known or left_s <= 0:
        return "", ""
    words = [str(picture), "stdout", "-l", "+".join(known), "--psm", "3", "tsv"]
    try:
        done = subprocess.run(
            [*_MODEST, program, *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=min(ONE_S, max(0.1, left_s)),
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return "", ""
    return slide_text(done.stdout.decode(errors="replace")) if done.returncode == 0 else ("", "")


def slide_text(table: str) -> tuple[str, str]:
    """Return the largest line of the upper half, and all lines, of tesseract's table of words."""
    lines: dict[tuple[int, ...], list[str]] = defaultdict(list)
    heights: dict[tuple[int, ...], int] = {}
    tops: dict[tuple[int, ...], int] = {}
    down = 1
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        try:
            word = one_line(row["text"] or "")
            line = tuple(int(row[name]) for name in ("block_num", "par_num", "line_num"))
            top, height, sure = int(row["top"]), int(row["height"]), float(row["conf"])
        except (KeyError, TypeError, ValueError):
            continue
        if row["level"] == "1":
            down = height
        elif row["level"] == "4":
            heights[line], tops[line] = height, top
        elif word and sure >= _SURE:
            lines[line].append(word)
    texts = {line: " ".join(words) for line, words in lines.items()}
    texts = {line: text for line, text in texts.items() if sum(letter.isalnum() for letter in text) > 1}
    above = [line for line in texts if tops.get(line, down) < down / 2 and len(texts[line]) > 2]
    title = max(above, key=lambda line: heights.get(line, 0), default=None)
    return "" if title is None else shortened(texts[title], _TITLE), "\n".join(texts.values())[:_LONGEST]
