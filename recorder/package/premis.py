"""`metadata/premis.jsonl`: what was done to a package and by whom, one event a line, in the words of PREMIS 3.

Types are those of the Library of Congress's list of preservation event types, names of fields PREMIS's semantic units
as JSON writes them. What is done to a package without changing it (fixity checks, copies) is logged outside of it: a
line in here would make every copy another one (docs/decisions/0034).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec

from devices.host.process_stat import account
from recorder.model import names
from recorder.package.manifest import Recording

type EventType = Literal[
    "capture", "message digest calculation", "information package creation", "ingestion", "metadata modification",
    "accession", "redaction",
]  # fmt: skip
"""What can be done to a package."""


class LinkingAgent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Who or what did it: a person by the name of their account or the one they gave; a program and its version."""

    agent_type: Literal["person", "software"]
    agent_name: str
    agent_version: str = ""
    linking_agent_role: Literal["implementer", "executing program"]


class Change(msgspec.Struct, frozen=True):
    """A field of the description that was changed, as `metadata/recording.json` has it, dotted below the top."""

    field: str
    old: Any
    new: Any


class PremisEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event. `changes` are fields of the description, `linking_object` the files that it was done to."""

    event_identifier: str
    event_type: EventType
    event_date_time: datetime
    event_detail: str
    event_outcome: Literal["success", "warning"]
    event_outcome_detail: str = ""
    linking_agent: tuple[LinkingAgent, ...]
    linking_object: tuple[str, ...]
    changes: tuple[Change, ...] = ()


def event(
    recording: Recording, kind: EventType, at: datetime, detail: str, agents: Iterable[LinkingAgent], **more: Any
) -> PremisEvent:
    """Return an event that happened to the package of `recording`; the same one has the same identifier."""
    return PremisEvent(
        event_identifier=str(uuid5(UUID(recording.uuid), f"{kind} {at.isoformat()} {detail}")),
        event_type=kind,
        event_date_time=at,
        event_detail=names.one_line(detail),
        linking_agent=tuple(agents),
        **{"event_outcome": "success", "linking_object": (f"urn:uuid:{recording.uuid}",)} | more,
    )


def lines(events: Iterable[PremisEvent]) -> bytes:
    """Return events as they stand in the file."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in events)


def program(version: str) -> LinkingAgent:
    """Return this program, as whoever carries a thing out."""
    return LinkingAgent(
        agent_type="software", agent_name="Liput", agent_version=version, linking_agent_role="executing program"
    )


def person(name: str | None = None) -> LinkingAgent:
    """Return the person who has a thing done: by `name`, else by the name of their account on this PC."""
    return LinkingAgent(
        agent_type="person", agent_name=names.one_line(name or account()), linking_agent_role="implementer"
    )


def of_sealing(recording: Recording, files: Iterable[str], now: datetime) -> bytes:
    """Return what a package's file says when it is sealed: captured, hashed, packed, and taken into the archive."""
    payload = tuple(files)
    agents = (program(recording.software["liput"]),)
    lost = {"event_outcome": "warning", "event_outcome_detail": ", ".join(recording.degraded)}
    return lines((
        event(
            recording, "capture", recording.ended_at,
            f"Recorded from {recording.started_at.isoformat()} on {recording.host}", agents,
            linking_object=tuple(file.file for file in recording.media), **(lost if recording.degraded else {}),
        ),
        event(recording, "message digest calculation", now, "SHA-256 of every file of data/", agents,
              linking_object=payload),
        event(recording, "information package creation", now, "Put into a BagIt 1.0 package", agents),
        event(recording, "ingestion", now, "Moved into the archive by one rename", agents),
    ))  # fmt: skip
