"""A request as text: `PERMOHONAN.txt` of its dossier, in Indonesian and English; and without personal data."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo

from msgspec.structs import replace

from config.settings.office import Office, format_standard
from recorder.features.dossier.steps import WorkingHours, steps_of
from recorder.model.names import one_line
from recorder.package.request import (
    Change,
    Disposition,
    RecordedSession,
    Request,
    RequestState,
    Step,
    StepKind,
    StepState,
)

WIDTH, HISTORY_WIDTH = 38, 52
_STEPS = {
    StepKind.RECEIVE: ("{by} menerima surat", "{by} takes up the letter"),
    StepKind.DISPOSE: ("{by} mendisposisikan kepada {to}", "{by} -> {to} passes it on"),
    StepKind.CARRY_OUT: ("{by} melaksanakan", "{by} carries it out"),
    StepKind.ARCHIVE: ("{by} mengarsipkan", "{by} archives it"),
}

_STATES = {
    StepState.MET: ("tepat waktu", "in time"),
    StepState.LATE: ("terlambat", "late"),
    StepState.DUE: ("berjalan", "under way"),
    StepState.WAITING: ("menunggu", "waiting"),
    StepState.DROPPED: ("tidak dilaksanakan", "not done"),
}

_REQUEST_STATES = {
    RequestState.OPEN: ("terbuka", "open"),
    RequestState.CLOSED: ("ditutup", "closed"),
    RequestState.CANCELLED: ("dibatalkan", "cancelled"),
}

_CHECKS = {
    None: ("tanpa pemeriksaan", "no check before it"),
    True: ("pemeriksaan: siap", "check: ready"),
    False: ("pemeriksaan: belum siap", "check: not ready"),
}

_CHANGES = {
    "created": "dibuat",
    "received": "diterima",
    "disposed": "didisposisikan",
    "withdrawn": "disposisi ditarik",
    "assigned": "ditugaskan",
    "edited": "diperbaiki",
    "attached": "berkas ditambah",
    "recorded": "direkam",
    "archived": "diarsipkan",
    "closed": "ditutup",
    "cancelled": "dibatalkan",
    "reopened": "dibuka kembali",
}
"""`recorder.package.request.Change.kind` in Indonesian."""
_LABELS = {
    "id": ("Nomor dosir", "Id"),
    "state": ("Status", "State"),
    "letter_number": ("Nomor surat", "Letter number"),
    "letter_date": ("Tanggal surat", "Letter date"),
    "applicant": ("Pemohon", "Applicant"),
    "unit": ("Unit kerja", "Unit"),
    "contact": ("Kontak", "Contact"),
    "event": ("Acara", "Event"),
    "place": ("Tempat", "Place"),
    "starts_at": ("Waktu", "Time"),
    "ends_at": ("Selesai", "End"),
    "needs": ("Kebutuhan", "Needs"),
    "received_at": ("Surat masuk", "Letter came in"),
    "receipt": ("Diterima", "Taken up"),
    "dispositions": ("Disposisi", "Disposition"),
    "staff": ("Petugas", "Staff"),
    "equipment": ("Peralatan", "Equipment"),
    "letters": ("Berkas", "Paper"),
    "recordings": ("Rekaman", "Recording"),
}
"""Labels of a request's fields."""
_TOLD = {"edited", "assigned"}  # changes with former values in the text; the others need none

type ChooseLanguage = Callable[[tuple[str, str]], str]  # makes one text of an Indonesian and an English one


def bilingual(words: tuple[str, str]) -> str:
    """Return both languages beside each other."""
    return " / ".join(words)


def in_english(words: tuple[str, str]) -> str:
    return words[1]


type Row = tuple[tuple[str, str], str]  # a label in Indonesian and English, and the text


def format_moment(at: datetime | None, zone: tzinfo | None) -> str:
    """Return a moment in `zone`; "" for None."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else ""


def rows_of(request: Request, zone: tzinfo | None, say: ChooseLanguage) -> Iterator[Row]:
    """Yield the rows of a request without empty values; moments in `zone`."""
    return (row for row in _rows(request, zone, say) if row[1])


def _rows(request: Request, zone: tzinfo | None, say: ChooseLanguage) -> Iterator[Row]:
    times = (format_moment(request.starts_at, zone), format_moment(request.ends_at, zone))
    plain = {
        "id": request.id,
        "state": say(_REQUEST_STATES[request.state]),
        "letter_number": request.letter_number,
        "letter_date": request.letter_date.isoformat() if request.letter_date else "",
        "applicant": request.applicant,
        "unit": request.unit,
        "contact": request.contact,
        "event": request.event,
        "place": request.place,
        "starts_at": " - ".join(filter(None, times)),
        "needs": ", ".join(request.needs),
        "received_at": format_moment(request.received_at, zone),
        "receipt": _with_name(format_moment(request.receipt.at, zone), request.receipt.by) if request.receipt else "",
    }
    yield from ((_LABELS[field], value) for field, value in plain.items())
    for disposition in request.dispositions:
        yield _LABELS["dispositions"], _disposition_text(disposition, zone)
    yield _LABELS["staff"], ", ".join(request.staff)
    yield _LABELS["equipment"], ", ".join(request.equipment)
    for letter in request.letters:
        yield _LABELS["letters"], _with_name(letter.file, letter.name)
    for recorded in request.recordings:
        yield _LABELS["recordings"], _recorded_text(recorded, zone, say)


def _disposition_text(disposition: Disposition, zone: tzinfo | None) -> str:
    text = f"{format_moment(disposition.at, zone)} {disposition.giver} -> {disposition.to}"
    return f"{_with_name(text, disposition.by)}{': ' if disposition.instruction else ''}{disposition.instruction}"


def _recorded_text(recorded: RecordedSession, zone: tzinfo | None, say: ChooseLanguage) -> str:
    said = "; ".join((say(_CHECKS[recorded.ready]), *recorded.degraded))
    ended = f"{recorded.ended_at.astimezone(zone):%H:%M}"
    return f"{format_moment(recorded.started_at, zone)} - {ended} {recorded.package} ({said})"


def _with_name(text: str, name: str) -> str:
    return f"{text} ({name})" if name else text


def step_text(step: Step, language: int) -> str:
    """Return a step and its standard time; `language` is 0 for Indonesian, 1 for English."""
    done = _STEPS[step.kind][language].format(by=step.by, to=step.to)
    return f"{done}: {format_standard(step.standard, ('id', 'en')[language])}"


def _state_text(step: Step, zone: tzinfo | None) -> str:
    due = f"batas / due {format_moment(step.due_at, zone)}" if step.due_at else ""
    done = f"selesai / done {format_moment(step.done_at, zone)}" if step.done_at else ""
    return ", ".join(filter(None, (bilingual(_STATES[step.state]), done, due)))


def request_text(request: Request, steps: Sequence[Step], as_of: datetime) -> str:
    """Return a request as lines of text: `steps` at `as_of`, all times in its zone."""
    zone = as_of.tzinfo
    lines = ["PERMOHONAN VIDEO KONFEREN / REQUEST FOR A VIDEO CONFERENCE", ""]
    lines += [_line(bilingual(label), value) for label, value in rows_of(request, zone, bilingual)]
    lines += [_line("Semua waktu dalam / All times in", f"{as_of:%Z}")]
    at = format_moment(as_of, zone)
    lines += ["", f"WAKTU BAKU, keadaan {at} / STANDARD TIMES, as of {at}", ""]
    for step in steps:
        lines += [f"{step.number}. {step_text(step, 0)} / {step_text(step, 1)}", f"   {_state_text(step, zone)}"]
    lines += ["", "RIWAYAT / HISTORY", ""]
    for change in request.history:
        kind = bilingual((_CHANGES[change.kind], change.kind)) if change.kind in _CHANGES else change.kind
        said = ", ".join(filter(None, (change.who, change.note, *_differences(change))))
        lines.append(_line(f"{format_moment(change.at, zone)}  {kind}", said, HISTORY_WIDTH))
    return "\n".join((*lines, ""))


def dossier_text(request: Request, office: Office) -> str:
    """Return the text of a dossier, as of the request's last change."""
    hours = WorkingHours(office)
    changed_at = request.history[-1].at.astimezone(hours.zone)
    return request_text(request, steps_of(request, hours, changed_at), changed_at)


def _differences(change: Change) -> Iterator[str]:
    for field, difference in change.fields.items() if change.kind in _TOLD else ():
        label = bilingual(_LABELS[field]) if field in _LABELS else field
        yield f"{label}: {_plain_value(difference.before)} -> {_plain_value(difference.after)}"


def _plain_value(value: object) -> str:
    if isinstance(value, list | tuple):
        return " + ".join(map(_plain_value, value)) or "-"
    return _plain_value(value.get("at")) if isinstance(value, dict) else str(value or "-")


def _line(label: str, value: str, width: int = WIDTH) -> str:
    return f"{label:<{width}}{one_line(value)}"


HIDDEN = "[redacted]"


def redacted(request: Request) -> Request:
    """Return `request` without names, titles, contacts, free text, and numbers and hashes of letters."""
    return replace(
        request,
        id=request.uuid[:8],
        letter_number=_hidden(request.letter_number),
        applicant=_hidden(request.applicant),
        contact=_hidden(request.contact),
        event=HIDDEN,
        needs=tuple(map(_hidden, request.needs)),
        receipt=request.receipt and replace(request.receipt, by=_hidden(request.receipt.by)),
        letters=tuple(replace(each, sha256=HIDDEN, name=_hidden(each.name)) for each in request.letters),
        dispositions=tuple(
            replace(each, instruction=_hidden(each.instruction), by=_hidden(each.by)) for each in request.dispositions
        ),
        staff=tuple(map(_hidden, request.staff)),
        recordings=tuple(
            replace(each, package=each.uuid[:8], path=HIDDEN, title=HIDDEN) for each in request.recordings
        ),
        history=tuple(replace(each, who=HIDDEN, note=_hidden(each.note), fields={}) for each in request.history),
    )


def _hidden(text: str) -> str:
    return HIDDEN if text else ""
