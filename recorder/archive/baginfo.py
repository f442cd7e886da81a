"""`bag-info.txt` of a package: what it is and how large, in fields of BagIt and of our own."""

from collections.abc import Mapping

from config.quantities import brief_size
from recorder.archive import bag, names
from recorder.archive.model import Recording, RequestFacts

OURS = frozenset({
    "Source-Organization", "External-Description", "External-Identifier", "Bagging-Date", "Bag-Size", "Payload-Oxum",
    "Bag-Software-Agent", "Recording-Room", "Recording-Started", "Records-Classification", "Records-Security",
    "Records-Retention-Active", "Records-Retention-Inactive", "Records-Disposition", "Speakers-Consent", "Excerpt-Of",
    "Internal-Sender-Identifier", "Request-Identifier", "Request-Applicant", "Request-Unit", "Request-Event",
})  # fmt: skip
"""What stands in it because of the recording; what else a package has there, others have written, and it stays."""


def bag_info(
    recording: Recording, payload: Mapping[str, int], bagging_date: str, kept: Mapping[str, str] | None = None
) -> bytes:
    """Return the content of bag-info.txt; `payload` has the size of each file of data/, `kept` an earlier one's fields.

    `bagging_date` is that of the sealing: a correction leaves it.
    """
    size, records = sum(payload.values()), recording.records
    fields = (
        ("Source-Organization", recording.office),
        ("External-Description", recording.title),
        ("External-Identifier", recording.uuid),
        ("Bagging-Date", bagging_date),
        ("Bag-Size", brief_size(size)),
        ("Payload-Oxum", f"{size}.{len(payload)}"),
        ("Bag-Software-Agent", f"Liput {recording.software.get('liput', 'unknown')}"),
        ("Recording-Room", recording.room),
        *_of_request(recording.request),
        ("Recording-Started", recording.started_at.isoformat()),
        ("Records-Classification", records.classification),
        ("Records-Security", records.security),
        ("Records-Retention-Active", records.retention_active),
        ("Records-Retention-Inactive", records.retention_inactive),
        ("Records-Disposition", records.disposition),
        ("Speakers-Consent", recording.consent.state),
        ("Excerpt-Of", f"urn:uuid:{recording.excerpt_of}" if recording.excerpt_of else ""),
        *((label, value) for label, value in (kept or {}).items() if label not in OURS),
    )
    return bag.info_text((label, names.one_line(value)) for label, value in fields)


def _of_request(request: RequestFacts | None) -> tuple[tuple[str, str], ...]:
    """Return what bag-info says of the request: RFC 8493 has a field for the sender's own number."""
    if request is None:
        return ()
    return (
        ("Internal-Sender-Identifier", request.letter_number),
        ("Request-Identifier", request.id),
        ("Request-Applicant", request.applicant),
        ("Request-Unit", request.unit),
        ("Request-Event", request.event),
    )
