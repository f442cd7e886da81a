"""Kinds of events by which a session tells of faults; docs/reference/cli.md explains every kind."""

from collections.abc import Mapping

from devices.health.faults import LOSES_NOTHING, OF_ITS_PLACE, Fault

TOLD_BY_TRACKS: Mapping[str, str] = {Fault.LOST: "source-lost", Fault.NO_DATA: "source-silent"}
"""Faults that the tracks notice by themselves, and the kinds of their events: they say what stands in its place."""


def kind_of(fault: str) -> str:
    """Return the kind of event by which a session tells that a fault has begun."""
    return TOLD_BY_TRACKS.get(fault, f"source-{fault}")


RECOVERED = "source-recovered"
WARNINGS = frozenset(map(kind_of, LOSES_NOTHING - OF_ITS_PLACE))
"""Kinds of faults by which the recording loses nothing; those of its place no watch finds, so no session tells them."""
