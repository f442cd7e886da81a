"""The report of a session: its rows of text, the self-contained HTML page and its PDF. Both are tag files."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from config.errors import LiputError
from config.files import read_json
from config.locale import number_format
from config.locale.lookup import text, words
from config.settings.office import format_standard
from config.settings.quantities import clock_text
from recorder.disk.durable import PRIVATE_MODE, DurableFiles
from recorder.features.report.incidents import NEVER_LIVE, OTHER, Incident, incidents
from recorder.features.report.material import SILENCE_DBFS, ReportMaterial, SoundLevels, image_file, read_material
from recorder.features.report.printing import print_pdf
from recorder.model.names import one_line, shortened
from recorder.package.metadata import INTERRUPTED, AudioTrack, DerivedRecord, ReportOptions, VideoTrack
from recorder.package.request import Step
from recorder.package.work_folder import DERIVED_FILE, EVENTS_FILE, RECORDING_FILE

if TYPE_CHECKING:
    from jinja2 import Template

MOST_INCIDENTS = 16
MOST_CHAPTERS = 12
MOST_DIGESTS = 3
_LOGO_SIZE = 400, 400
_NEARLY_WHOLE = 0.05
_LONGEST = 300  # characters of one value; a title may be as long
_LONGEST_CHAPTER = 60
_CODECS = {"h264": "H.264", "hevc": "H.265"}

type Rows = list[tuple[str, str]]

type Limited[Row] = tuple[Sequence[Row], int]  # the rows that fit, and the count of the others


def _limited[Row](rows: Sequence[Row], most: int) -> Limited[Row]:
    return rows[:most], max(0, len(rows) - most)


class ReportView:
    """The rows of a report. The template reads its properties, and texts through `t`."""

    events_file, recording_file = EVENTS_FILE, RECORDING_FILE

    def __init__(self, material: ReportMaterial, wishes: ReportOptions, language: str) -> None:
        self.language = language
        self.wishes = wishes
        self.recording = recording = material.recording
        self.id = material.id
        self.office = recording.office or recording.room or recording.host
        # Images are data URIs, or "".
        self.logo = _uri(image_file(Path(wishes.logo), _LOGO_SIZE) if wishes.logo else None)
        self.poster = _uri(material.poster)
        self.pictures = [(time, _uri(picture)) for time, picture in material.pictures]
        self.is_interrupted = recording.dropped is None or INTERRUPTED in recording.degraded
        self.manifest_digest = material.manifest_digest
        self.signed_on = number_format.day(self._local(recording.ended_at), language)  # a person may write another
        self.made_by = self.t("made", version=recording.software.get("liput", "?"), file=RECORDING_FILE)
        self._material = material
        self._request = material.request.request if material.request else None
        self._asked = recording.request or self._request  # the description has corrections
        self._incidents = incidents(material.events, recording)

    def t(self, key: str, **facts: object) -> str:
        """Return the page's text for `key`."""
        return text("report", key, self.language, **facts)

    def _number(self, value: float, digits: int = 0) -> str:
        return number_format.number(value, self.language, digits)

    # The event

    @property
    def event(self) -> Rows:
        """Title, request, place and time."""
        started, ended = self.recording.started_at, self._local(self.recording.ended_at)
        end = number_format.time_of_day(ended, self.language)
        if ended.date() != started.date():
            end = f"{number_format.day(ended, self.language)}, {end}"
        start = number_format.time_of_day(started, self.language)
        times = self.t("until", start=start, end=end, zone=number_format.zone(started))
        asked = self._asked
        title = self.recording.title
        places = (asked.place if asked else "", self.recording.room)
        return self._labelled([
            ("titled", self.t("practice", title=title) if self.recording.practice else title),
            ("letter", self._letter()),
            ("applicant", asked.applicant if asked else ""),
            ("unit", asked.unit if asked else ""),
            ("place", " / ".join(dict.fromkeys(filter(None, places)))),
            ("day", number_format.weekday(started, self.language)),
            ("time", times),
            ("length", clock_text(self.recording.duration_s)),
        ])  # fmt: skip

    def _letter(self) -> str:
        asked = self._asked
        if asked is None:
            return self.t("no-request")
        parts = [asked.letter_number] if asked.letter_number else []
        if asked.letter_date:
            parts.append(self.t("letter-dated", date=number_format.day(asked.letter_date, self.language)))
        return " ".join(parts) or asked.id

    def _labelled(self, rows: Iterable[tuple[str, str]]) -> Rows:
        return [(self.t(key), shortened(value, _LONGEST)) for key, value in rows if value]

    # The procedure

    @property
    def steps(self) -> list[tuple[str, ...]]:
        """The steps against their standard times: number, step, roles, standard, used, state, code."""
        return [self._step(step) for step in self._material.request.steps] if self._material.request else []

    def _step(self, step: Step) -> tuple[str, ...]:
        used = number_format.office_span(step.used_s, self.language) if step.used_s is not None else ""
        state = text("report-states", str(step.state), self.language)
        if step.late_s:
            state = f"{state} {number_format.office_span(step.late_s, self.language)}"
        return (
            str(step.number),
            text("report-steps", str(step.kind), self.language),
            " → ".join(filter(None, (step.by, step.to))),
            format_standard(step.standard, self.language),
            used,
            state,
            str(step.state),
        )

    @property
    def people(self) -> Rows:
        """Staff and equipment."""
        asked, devices, kinds = self._request, self._material.devices, words("report-devices")
        listed = ((one, kinds[one.kind].of(self.language) if one.kind in kinds else one.kind) for one in devices)
        named = (f"{one.name} ({', '.join(filter(None, (one.role, kind)))})" for one, kind in listed)
        by_hand = (check for check in self._checks("by-hand") if check.get("verdict") == "ok")
        return self._labelled([
            ("staff", ", ".join(asked.staff) if asked else ""),
            ("equipment", ", ".join(asked.equipment) if asked else ""),
            ("devices", "; ".join(named)),
            ("by-hand", ", ".join(str(check.get("name")).partition(":")[2].strip() for check in by_hand)),
        ])  # fmt: skip

    def _checks(self, name: str = "") -> list[Mapping[str, Any]]:
        lines = self._material.checks.get("checks", [])
        found = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
        return [line for line in found if not name or str(line.get("name")).partition(":")[0] == name]

    # The result

    @property
    def result(self) -> Rows:
        """The recording, its streams, and the check before it."""
        recording = self.recording
        tracks = [track for media in recording.media[:1] for track in media.tracks]
        return self._labelled([
            ("picture", next((self._picture(track) for track in tracks if isinstance(track, VideoTrack)), "")),
            ("frames", self._frames()),
            ("sound", next((self._sound(track) for track in tracks if isinstance(track, AudioTrack)), "")),
            ("loudness", self._loudness()),
            ("size", number_format.size(sum(media.bytes for media in recording.media), self.language)),
            ("streamed", ", ".join(self._streamed()) or self.t("not-streamed")),
            ("internet", self._internet()),
            ("check", self._check()),
        ])  # fmt: skip

    def _picture(self, track: VideoTrack) -> str:
        shown = f"{track.width} x {track.height}", self._rate(track), _CODECS.get(track.codec, track.codec.upper())
        return ", ".join(filter(None, shown))

    def _rate(self, track: VideoTrack) -> str:
        try:
            fps = float(Fraction(track.rate))
        except (ValueError, ArithmeticError):
            return ""  # a foreign package
        shown = self._number(fps, 0 if abs(fps - round(fps)) < _NEARLY_WHOLE else 2)  # a mean rate is never whole
        return self.t("rate", fps=shown)

    def _sound(self, track: AudioTrack) -> str:
        khz = track.sample_rate / 1000
        return f"{track.layout}, {self._number(khz, 0 if khz == round(khz) else 1)} kHz, {track.codec.upper()}"

    def _frames(self) -> str:
        dropped, repeated = self.recording.dropped, self.recording.repeated
        if dropped is None or repeated is None:
            lost = self.t("frames-unknown")
        else:
            lost = self.t("frames-lost", dropped=self._number(dropped), repeated=self._number(repeated))
        return f"{self._number(self.recording.frames)}; {lost}"

    def _loudness(self) -> str:
        if self.recording.loudness_lufs is None:
            return ""
        lufs = self._number(self.recording.loudness_lufs, 1)
        if self.recording.loudness_range_lu is None:
            return f"{lufs} LUFS"
        return self.t("loudness-range", lufs=lufs, lu=self._number(self.recording.loudness_range_lu, 1))

    def _streamed(self) -> Iterator[str]:
        never_live = {incident.subject for incident in self._incidents if incident.kind == NEVER_LIVE}
        for name in self.recording.destinations:
            yield self.t("never-live", name=name) if name in never_live else name

    def _internet(self) -> str:
        for check in self._checks("uplink"):
            measured = check.get("measured")
            if isinstance(measured, dict) and isinstance(measured.get("up_bps"), int | float):
                return "; ".join(self._rates(measured))
        return self.t("not-measured")

    def _rates(self, measured: Mapping[str, Any]) -> Iterator[str]:
        up, down, need = (
            number_format.rate(rate, self.language) if isinstance(rate, int | float) else self.t("none")
            for rate in (measured.get(name) for name in ("up_bps", "down_bps", "need_bps"))
        )
        yield self.t("internet-rates", up=up, down=down)
        if measured.get("need_bps"):
            yield self.t("internet-needed", need=need)
        if isinstance(idle_s := measured.get("idle_s"), int | float):
            yield self.t("internet-latency", ms=self._number(idle_s * 1000))

    def _check(self) -> str:
        ready = self._material.checks.get("ready")
        if not isinstance(ready, bool):
            return self.t("no-check")
        warnings = sum(check.get("verdict") == "warning" for check in self._checks())
        counted = self.t("warnings", count=warnings) if warnings else ""
        return ", ".join(filter(None, (self.t("ready" if ready else "not-ready"), counted)))

    # Incidents and chapters

    @property
    def incidents(self) -> Limited[tuple[str, ...]]:
        """Incidents: kind, subject, first time, number, length or losses."""
        return _limited([self._incident(incident) for incident in self._incidents], MOST_INCIDENTS)

    def _incident(self, incident: Incident) -> tuple[str, ...]:
        kind = incident.kind if incident.kind in words("incidents") else OTHER
        lost = "" if incident.count is None else self._number(incident.count)
        lasted = "" if incident.seconds is None else number_format.span(incident.seconds, self.language)
        if incident.is_open:
            lasted = f"{lasted}, {self.t('still')}"
        return (
            text("incidents", kind, self.language),
            shortened(incident.subject, 80),
            self._first(incident),
            str(incident.times),
            ", ".join(filter(None, (lasted, lost))),
        )

    def _first(self, incident: Incident) -> str:
        if incident.first_at is None:
            return ""
        return number_format.time_of_day(self._local(incident.first_at), self.language, seconds=True)

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.recording.started_at.tzinfo)

    @property
    def chapters(self) -> Limited[tuple[str, str]]:
        chapters = self.recording.chapters
        shown = [(clock_text(one.start_s), shortened(one.title, _LONGEST_CHAPTER)) for one in chapters]
        return _limited(shown, MOST_CHAPTERS)

    # The archive

    @property
    def records(self) -> Rows:
        """Records management and the speakers' consent."""
        kept, consent = self.recording.records, self.recording.consent
        both = (kept.retention_active, kept.retention_inactive)
        said = self.t(f"consent-{consent.state}")
        return self._labelled([
            ("classification", kept.classification or self.t("none")),
            ("security", kept.security or self.t("none")),
            ("retention", " / ".join(value or self.t("none") for value in both) if any(both) else self.t("none")),
            ("disposition", kept.disposition or self.t("none")),
            ("consent", f"{said}: {consent.note}" if consent.note else said),
        ])  # fmt: skip

    @property
    def digests(self) -> Limited[tuple[str, str]]:
        return _limited(list(self._material.digests.items()), MOST_DIGESTS)


def _uri(picture: bytes | None) -> str:
    if picture is None:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


WIDTH, HEIGHT = 720, 80
_LEFT, _BOTTOM, _TOP = 26, 14, 4
_FLOOR = -60.0
_LINES = (0, -20, -40, -60)
_STEPS_S = (10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)
_MOST_TIMES = 9


def level_plot(levels: SoundLevels) -> Markup:
    """Return an `<svg>`: a line for the mean, a shade up to the peak, and times below."""
    total_s = max(levels.step_s * len(levels.rms_dbfs), 0.001)
    base = f"{WIDTH},{_y(SILENCE_DBFS):.1f} {_LEFT},{_y(SILENCE_DBFS):.1f}"
    mean, peak = " ".join(_points(levels.rms_dbfs)), " ".join(_points(levels.peak_dbfs))
    parts = [
        *_grid(total_s),
        f'<polygon points="{peak} {base}" fill="#c9dbe8"/>',
        f'<polyline points="{mean}" fill="none" stroke="#1f5b83" stroke-width="0.9"/>',
    ]
    return Markup(  # noqa: S704 - numbers only, and the clock's digits
        f'<svg xmlns="http://www.w3.org/2000/svg" class="level" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"{''.join(parts)}</svg>"
    )


def _x(place: float) -> float:
    return _LEFT + place * (WIDTH - _LEFT)


def _y(level: float) -> float:
    part = (max(_FLOOR, min(0.0, level)) - _FLOOR) / -_FLOOR
    return HEIGHT - _BOTTOM - part * (HEIGHT - _BOTTOM - _TOP)


def _grid(total_s: float) -> list[str]:
    style = 'stroke="#bbb" stroke-width="0.5"'
    letters = 'font-size="8" fill="#444" font-family="Liberation Sans, Arial, DejaVu Sans, sans-serif"'
    found = []
    for level in _LINES:
        y = _y(level)
        found.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" {style}/>')
        found.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end" {letters}>{level}</text>')
    step_s = next((step for step in _STEPS_S if total_s / step <= _MOST_TIMES), _STEPS_S[-1])
    for number in range(int(total_s // step_s) + 1):
        x = _x(number * step_s / total_s)
        anchor = "start" if number == 0 else "end" if x > WIDTH - 20 else "middle"
        found.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{HEIGHT - _BOTTOM}" {style}/>')
        time = clock_text(number * step_s)
        found.append(f'<text x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}" {letters}>{time}</text>')
    return found


def _points(values: tuple[float, ...]) -> list[str]:
    places = [0.0, *((number + 0.5) / len(values) for number in range(len(values))), 1.0]
    shown = [values[0], *values, values[-1]]
    return [f"{_x(place):.1f},{_y(value):.1f}" for place, value in zip(places, shown, strict=True)]


_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def report_page(material: ReportMaterial, wishes: ReportOptions, language: str) -> bytes:
    """Return the report as HTML in UTF-8; it loads nothing."""
    view = ReportView(material, wishes, language)
    plot = level_plot(material.levels) if material.levels and material.levels.rms_dbfs else None
    return _template().render(v=view, t=view.t, plot=plot).encode("utf-8", "replace")


def _clean(value: object) -> object:
    """Return typed text without control characters, also those that change its direction."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else _TURNING.sub("", one_line(value))


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, finalize=_clean, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


HTML_FILE = "report.html"
PDF_FILE = "report.pdf"


def write_report(folder: Path, name: str, wishes: ReportOptions, language: str, disk: DurableFiles) -> str:
    """Write the report of the package `name` into `folder`, over an earlier one.

    The payload manifest must exist; the tag manifest is made later. Returns the reason for a missing PDF, "" if there
    is one or none is wanted. Raises OSError, and as `gather`.
    """
    material = read_material(folder, name)
    page = report_page(material, wishes, language)
    mode = PRIVATE_MODE if material.request or material.recording.request else 0o666  # the report names the applicant
    disk.write(folder / HTML_FILE, page, mode=mode)
    reason = ""
    try:
        if wishes.pdf:
            disk.write(folder / PDF_FILE, print_pdf(page), mode=mode)
            return ""
    except LiputError as error:
        reason = error.message
    if (folder / PDF_FILE).exists():
        disk.unlink(folder / PDF_FILE)
    return reason


def report_of_changed(folder: Path, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the report's files for a package with `changed` files, by name; writes nothing.

    It looks as it did at sealing; a package without a report gets none. Raises LiputError if an existing PDF cannot be
    made again: two different reports are worse than none.
    """
    if not (folder / HTML_FILE).exists():
        return {}
    derived = read_json(folder / DERIVED_FILE, DerivedRecord) or DerivedRecord()
    wishes = derived.report or ReportOptions()
    page = report_page(read_material(folder, folder.name, changed), wishes, derived.language)
    files = {HTML_FILE: page}
    if (folder / PDF_FILE).exists():
        files[PDF_FILE] = print_pdf(page)
    return files
