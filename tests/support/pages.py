"""The pages for people: their text, what stands below a heading, and the rows of their tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLI, SETTINGS, DEVICES, CONTROL, CHECK, REQUEST, ALARMS, SCHEDULE = (
    (ROOT / "docs" / page).read_text()
    for page in (
        "reference/cli.md",
        "reference/settings.md",
        "devices.md",
        "reference/control.md",
        "check.md",
        "request.md",
        "alarms.md",
        "schedule.md",
    )
)


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{page}".partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading!r} on the page that begins {page[:40]!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of all tables of a text: the cells after the first, by each word in code in the first."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for word in re.findall(r"`([^`]+)`", cells[0]) if cells else ():
            found[word] = cells[1:]
    return found
