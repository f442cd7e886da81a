"""Files that describe a package: bag-info.txt, Dublin Core, README.txt, BACA-SAYA.txt and premis.jsonl.

premis.jsonl has the changes of a package, one event a line, in the terms of PREMIS 3. Types come from the list of
preservation event types of the Library of Congress. Fixity checks and copies are logged outside of the package: a line
here would make each copy differ (docs/decisions/0034).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

import msgspec

from config.settings.quantities import brief_size, clock_text
from devices.host.process import account_name
from recorder.model import names
from recorder.model.marks import Moment
from recorder.package import bag
from recorder.package.metadata import AudioTrack, Recording, RequestFacts, VideoTrack


def bag_info(
    recording: Recording, payload: Mapping[str, int], bagging_date: str, kept: Mapping[str, str] | None = None
) -> bytes:
    """Return bag-info.txt; `payload` has the sizes of data/, `kept` earlier fields. Corrections keep `bagging_date`."""
    size, records = sum(payload.values()), recording.records
    request = recording.request or RequestFacts(id="")
    fields = [
        ("Source-Organization", recording.office),
        ("External-Description", recording.title),
        ("External-Identifier", recording.uuid),
        ("Bagging-Date", bagging_date),
        ("Bag-Size", brief_size(size)),
        ("Payload-Oxum", f"{size}.{len(payload)}"),
        ("Bag-Software-Agent", f"Liput {recording.software.get('liput', 'unknown')}"),
        ("Recording-Room", recording.room),
        ("Internal-Sender-Identifier", request.letter_number),  # RFC 8493 has a field for the sender's own number
        ("Request-Identifier", request.id),
        ("Request-Applicant", request.applicant),
        ("Request-Unit", request.unit),
        ("Request-Event", request.event),
        ("Recording-Started", recording.started_at.isoformat()),
        ("Records-Classification", records.classification),
        ("Records-Security", records.security),
        ("Records-Retention-Active", records.retention_active),
        ("Records-Retention-Inactive", records.retention_inactive),
        ("Records-Disposition", records.disposition),
        ("Speakers-Consent", recording.consent.state),
        ("Excerpt-Of", f"urn:uuid:{recording.excerpt_of}" if recording.excerpt_of else ""),
    ]
    ours = dict(fields)
    fields += [(label, value) for label, value in (kept or {}).items() if label not in ours]
    return bag.info_text((label, names.one_line(value)) for label, value in fields)


DUBLIN_CORE_NAMESPACE = "http://www.opencastproject.org/xsd/1.0/dublincore/"
DUBLIN_CORE_TERMS = "http://purl.org/dc/terms/"

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dublin_core(recording: Recording) -> bytes:
    """Return the Dublin Core catalogue; U+FFFD replaces characters that XML cannot hold."""
    ET.register_namespace("", DUBLIN_CORE_NAMESPACE)
    ET.register_namespace("dcterms", DUBLIN_CORE_TERMS)
    root = ET.Element(f"{{{DUBLIN_CORE_NAMESPACE}}}dublincore")
    for term, value in _terms(recording):
        if value:
            ET.SubElement(root, f"{{{DUBLIN_CORE_TERMS}}}{term}").text = _NOT_XML.sub("\ufffd", value)
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode").encode() + b"\n"


def _terms(recording: Recording) -> list[tuple[str, str]]:
    start, end = recording.started_at.isoformat("T", "seconds"), recording.ended_at.isoformat("T", "seconds")
    tracks = [track for media in recording.media for track in media.tracks]
    has_pictures = any(isinstance(track, VideoTrack) for track in tracks)
    kind = "MovingImage" if has_pictures else "Sound" if any(isinstance(t, AudioTrack) for t in tracks) else ""
    request = recording.request or RequestFacts(id="")
    return [
        ("title", recording.title),
        ("description", request.event if request.event != recording.title else ""),
        ("contributor", request.applicant),
        ("contributor", request.unit),
        ("references", request.letter_number),
        ("identifier", f"urn:uuid:{recording.uuid}"),
        ("created", start),
        ("temporal", f"start={start}; end={end}; scheme=W3C-DTF;"),
        ("extent", _iso_duration(recording.duration_s)),
        ("publisher", recording.office),
        ("spatial", recording.room),
        ("spatial", request.place if request.place != recording.room else ""),
        ("type", kind),
        ("subject", recording.records.classification),
        ("accessRights", recording.records.security),
        ("isVersionOf", f"urn:uuid:{recording.excerpt_of}" if recording.excerpt_of else ""),
    ]


def _iso_duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds, 3), 3600)
    minutes, left = divmod(rest, 60)
    return f"PT{hours:.0f}H{minutes:.0f}M{left:.3f}S"


INDONESIAN_FILE, ENGLISH_FILE = "BACA-SAYA.txt", "README.txt"

_CONTENTS = (
    ("data/media/", "rekaman: putar program.mp4", "the recording: play program.mp4"),
    ("data/poster.jpg", "satu gambar dari rekaman", "a picture of it"),
    ("report.html", "laporan pelaksanaan", "the session's report"),
    ("report.pdf", "laporan pelaksanaan", "the session's report"),
    ("data/thumbnails.jpg", "seluruh rekaman dalam gambar kecil", "the whole of it in small pictures"),
    ("data/slides/", "gambar tiap salindia", "each slide as a picture"),
    ("data/surat/", "surat permohonan dan lembar disposisi", "the letter of request and the disposition sheets"),
    ("data/transcript/", "transkrip yang diserahkan kemudian", "transcripts that were handed in later"),
    ("data/tambahan/", "berkas yang diserahkan kemudian", "files that were handed in later"),
    ("metadata/recording.json", "apa, kapan, di mana, bagaimana, dan yang terganggu",
     "what, when, where, how, and what went wrong"),
    ("metadata/request.json", "permohonan, disposisi, dan waktu bakunya", "the request, its dispositions and times"),
    ("metadata/dublincore.xml", "keterangan yang sama menurut Dublin Core", "the same in Dublin Core terms"),
    ("metadata/events.jsonl", "catatan jalannya acara, satu kejadian per baris", "the session's log, one event a line"),
    ("metadata/premis.jsonl", "apa yang dilakukan pada paket ini dan oleh siapa (PREMIS)",
     "what was done to this package and by whom (PREMIS)"),
    ("metadata/devices.json", "perangkat yang terpasang", "what was plugged in"),
    ("metadata/health.jsonl", "keadaan perangkat selama acara", "how the devices were meanwhile"),
    ("metadata/checks.json", "pemeriksaan sebelum acara", "the check before the session"),
    ("metadata/levels.json", "kuat suara sepanjang acara", "how loud it is over its time"),
    ("metadata/derived.json", "yang dibuat dari rekaman ini", "what was made of the recording"),
    ("metadata/history/", "keterangan lama, sebelum dikoreksi", "the description as it was before each correction"),
    ("manifest-sha256.txt", "SHA-256 setiap berkas di data/", "SHA-256 of every file in data/"),
    ("tagmanifest-sha256.txt", "SHA-256 setiap berkas lainnya", "SHA-256 of every other file"),
)  # fmt: skip
"""Possible contents of a package, in Indonesian and English. A read-me lists those that exist."""

_WINDOWS = (
    "Get-Content manifest-sha256.txt -Encoding UTF8 | ForEach-Object { $sum, $file = $_ -split '  ', 2; "
    "if ((Get-FileHash -LiteralPath $file).Hash -ne $sum) { $file } }"
)

_INDONESIAN = """\
{title}
{started:%d-%m-%Y, %H.%M}{place}, lamanya {length}

Folder ini adalah satu paket arsip: rekaman satu acara dengan semua keterangannya. Bentuknya BagIt 1.0 (RFC 8493),
berkas biasa di folder biasa. Program yang membuatnya (Liput) tidak diperlukan untuk memakainya.

MEMUTAR
  Buka data/media/program.mp4 dengan pemutar apa saja: VLC, ponsel, atau browser.

MEMERIKSA KEUTUHAN
  Jangan mengubah, menambah, atau menghapus apa pun di folder ini: setiap perubahan akan terlihat.
  Linux:    sha256sum -c manifest-sha256.txt
  macOS:    shasum -a 256 -c manifest-sha256.txt
  Windows (PowerShell; yang ditulis adalah berkas yang rusak, utuh bila tidak ada):
    {windows}
  Berkas keterangan diperiksa dengan cara yang sama terhadap tagmanifest-sha256.txt.

ISI
{contents}

Nomor paket: {uuid}
"""
_ENGLISH = """\
{title}
{started:%Y-%m-%d, %H:%M}{place}, {length} long

This folder is one archive package: the recording of one event, with all that is known about it. Its form is BagIt 1.0
(RFC 8493): plain files in plain folders. The program that made it (Liput) is not needed to use it.

TO PLAY IT
  Open data/media/program.mp4 with any player: VLC, a phone, a browser.

TO SEE WHETHER IT IS WHOLE
  Do not change, add or remove anything in this folder: each change will show.
  Linux:    sha256sum -c manifest-sha256.txt
  macOS:    shasum -a 256 -c manifest-sha256.txt
  Windows (PowerShell; it prints what is damaged, and nothing when all is well):
    {windows}
  The other files are checked in the same way against tagmanifest-sha256.txt.

WHAT IS IN IT
{contents}

Number of the package: {uuid}
"""
_EXCERPT = (
    "\nIni kutipan untuk dibagikan: surat dan data pribadi tidak disertakan. Paket lengkapnya: {uuid}\n",
    "\nThis is an excerpt to be shared: letters and personal data are left out. The whole package: {uuid}\n",
)

_PRACTICE = ("\nIni latihan, bukan acara.\n", "\nThis is practice, not an event.\n")


def readme_files(recording: Recording, paths: Collection[str]) -> dict[str, bytes]:
    """Return both read-me files by name for a package with `paths`."""
    return {
        INDONESIAN_FILE: _text(_INDONESIAN, recording, paths, language=0),
        ENGLISH_FILE: _text(_ENGLISH, recording, paths, language=1),
    }


def _text(template: str, recording: Recording, paths: Collection[str], *, language: int) -> bytes:
    places = [names.one_line(name) for name in (recording.room, recording.office) if name]
    text = template.format(
        title=names.one_line(recording.title),
        started=recording.started_at,
        place="".join(f", {place}" for place in places),
        length=clock_text(recording.duration_s),
        windows=_WINDOWS,
        contents="\n".join(_contents(paths, language)),
        uuid=recording.uuid,
    )
    if recording.excerpt_of:
        text += _EXCERPT[language].format(uuid=recording.excerpt_of)
    if recording.practice:
        text += _PRACTICE[language]
    return text.encode()


def _contents(paths: Collection[str], language: int) -> list[str]:
    there = {*paths, "manifest-sha256.txt", "tagmanifest-sha256.txt"}
    return [
        f"  {path:<25} {texts[language]}"
        for path, *texts in _CONTENTS
        if any(one == path or (path.endswith("/") and one.startswith(path)) for one in there)
    ]


type EventType = Literal[
    "capture", "message digest calculation", "information package creation", "ingestion", "metadata modification",
    "accession", "redaction",
]  # fmt: skip
"""The changes of a package."""


class LinkingAgent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A person, by the given name or the account's, or a program with its version."""

    agent_type: Literal["person", "software"]
    agent_name: str
    agent_version: str = ""
    linking_agent_role: Literal["implementer", "executing program"]


class MetadataChange(msgspec.Struct, frozen=True):
    """A changed field of `metadata/recording.json`, dotted below the top."""

    field: str
    old: Any
    new: Any


class PremisEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event. `changes` are fields of the description, `linking_object` the files or the package concerned."""

    event_identifier: str
    event_type: EventType
    event_date_time: Moment
    event_detail: str
    event_outcome: Literal["success", "warning"]
    event_outcome_detail: str = ""
    linking_agent: tuple[LinkingAgent, ...]
    linking_object: tuple[str, ...]
    changes: tuple[MetadataChange, ...] = ()


def premis_event(
    recording: Recording, kind: EventType, at: datetime, detail: str, agents: Iterable[LinkingAgent], **more: Any
) -> PremisEvent:
    """Return an event of the package; equal events have equal identifiers."""
    return PremisEvent(
        event_identifier=str(uuid5(UUID(recording.uuid), f"{kind} {at.isoformat()} {detail}")),
        event_type=kind,
        event_date_time=at,
        event_detail=names.one_line(detail),
        linking_agent=tuple(agents),
        **{"event_outcome": "success", "linking_object": (f"urn:uuid:{recording.uuid}",)} | more,
    )


def premis_lines(events: Iterable[PremisEvent]) -> bytes:
    """Return the events as lines of premis.jsonl."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in events)


def software_agent(version: str) -> LinkingAgent:
    return LinkingAgent(
        agent_type="software", agent_name="Liput", agent_version=version, linking_agent_role="executing program"
    )


def person_agent(name: str | None = None) -> LinkingAgent:
    """Return the person by `name`, else by the account's name on this PC."""
    return LinkingAgent(
        agent_type="person", agent_name=names.one_line(name or account_name()), linking_agent_role="implementer"
    )


def sealing_events(recording: Recording, files: Iterable[str], now: datetime) -> bytes:
    """Return premis.jsonl of a new package: capture, hashing, packing, ingestion."""
    payload = tuple(files)
    agents = (software_agent(recording.software["liput"]),)
    lost = {"event_outcome": "warning", "event_outcome_detail": ", ".join(recording.degraded)}
    return premis_lines((
        premis_event(
            recording, "capture", recording.ended_at,
            f"Recorded from {recording.started_at.isoformat()} on {recording.host}", agents,
            linking_object=tuple(file.file for file in recording.media), **(lost if recording.degraded else {}),
        ),
        premis_event(recording, "message digest calculation", now, "SHA-256 of every file of data/", agents,
              linking_object=payload),
        premis_event(recording, "information package creation", now, "Put into a BagIt 1.0 package", agents),
        premis_event(recording, "ingestion", now, "Moved into the archive by one rename", agents),
    ))  # fmt: skip
