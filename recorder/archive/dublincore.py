"""`metadata/dublincore.xml`: the session in DCMI terms, in the form of an Opencast episode catalogue."""

import re
from datetime import timedelta
from xml.etree import ElementTree as ET

from recorder.archive.model import AudioTrack, Recording, RequestFacts, VideoTrack

ROOT = "http://www.opencastproject.org/xsd/1.0/dublincore/"
TERMS = "http://purl.org/dc/terms/"

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dublin_core(recording: Recording) -> bytes:
    """Return the catalogue of `recording`; characters that XML cannot hold become U+FFFD."""
    ET.register_namespace("", ROOT)
    ET.register_namespace("dcterms", TERMS)
    root = ET.Element(f"{{{ROOT}}}dublincore")
    for term, value in _terms(recording):
        if value:
            ET.SubElement(root, f"{{{TERMS}}}{term}").text = _NOT_XML.sub("\ufffd", value)
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
    hours, rest = divmod(timedelta(seconds=round(seconds, 3)).total_seconds(), 3600)
    minutes, left = divmod(rest, 60)
    return f"PT{hours:.0f}H{minutes:.0f}M{left:.3f}S"
