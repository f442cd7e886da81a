"""What a session took of the processor (`liput record --profile-stages`), as a table for people."""

from collections.abc import Iterator

import msgspec

from config.events import Event
from recorder.status import NamedCpu, StageFigures

KIND = "cpu-measured"
LEAST_S = 0.05
"""Threads that took less are told together."""


def stages_text(event: Event) -> str:
    """Return the table of an event of KIND; "" for one before the end, which says less."""
    if event.kind != KIND or event.detail.get("until") == "recorded":
        return ""
    try:
        figures = msgspec.convert(event.detail, StageFigures)
    except msgspec.ValidationError:  # of a recorder of another version
        return ""
    return "\n".join(_lines(figures))


def _lines(figures: StageFigures) -> Iterator[str]:
    yield (
        f"{_share(figures.cpu_s, figures)} of a core: {figures.cpu_s:.1f} s of processor time in "
        f"{figures.wall_s:.0f} s, {figures.children_s:.1f} s of it in child processes."
    )
    yield from _table("stage", list(figures.stages.items()), figures)
    yield from _table("thread", _rows(figures.threads), figures)
    if figures.processes:
        yield from _table("process", _rows(figures.processes), figures)


def _share(cpu_s: float, figures: StageFigures) -> str:
    """Return which part of a core was taken in the time that passed."""
    return f"{cpu_s / max(figures.wall_s, 0.001):.1%}"


def _rows(taken: tuple[NamedCpu, ...]) -> list[tuple[str, float]]:
    rows = [(f"{one.name} ({one.count})" if one.count > 1 else one.name, one.cpu_s) for one in taken]
    small = [cpu_s for _, cpu_s in rows if cpu_s < LEAST_S]
    rest = [(f"{len(small)} others", sum(small))] if small else []
    return [row for row in rows if row[1] >= LEAST_S] + rest


def _table(what: str, rows: list[tuple[str, float]], figures: StageFigures) -> Iterator[str]:
    width = max(len(what), *(len(name) for name, _ in rows)) if rows else len(what)
    yield f"  {what:{width}}{'CPU':>10}  of a core"
    for name, cpu_s in rows:
        yield f"  {name:{width}}  {cpu_s:6.2f} s  {_share(cpu_s, figures):>9}"
