"""The page itself: everything in it, in both languages, standing alone, whatever people have typed."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from config.locale import number_format
from config.locale.lookup import words as words_of
from devices.health.faults import FAULT_STATES
from devices.model.device import DeviceKind
from recorder.features.report import incidents
from recorder.features.report.material import ReportMaterial, SoundLevels
from recorder.features.report.page import MOST_CHAPTERS, MOST_INCIDENTS, WIDTH, ReportView, level_plot, report_page
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, LASTING_KINDS, SOURCE_AWAY, WARNING_KINDS
from recorder.package.metadata import Chapter, ReportOptions
from recorder.package.request import StepKind, StepState
from tests.support.reports import DIGEST, LONG_TITLE, STARTED, WISHES, event, material
from tests.test_docs import emitted

pytestmark = pytest.mark.computing

SAMPLES = {
    "ordinary": material(),
    "plain": material("Rapat Senat", is_plain=True),
    "faulty": material(LONG_TITLE, is_faulty=True),
}


class Text(HTMLParser):
    """The words of a page, and everything in it that could load something."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self._in_style = False
        self.feed(page.decode())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_style = tag == "style"
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def page_of(sample: ReportMaterial, language: str = "id", wishes: ReportOptions = WISHES) -> Text:
    return Text(report_page(sample, wishes, language))


def changed(sample: str, **changes: Any) -> ReportMaterial:
    """Return a sample whose recording is described in another way."""
    return replace(SAMPLES[sample], recording=msgspec.structs.replace(SAMPLES[sample].recording, **changes))


@pytest.mark.parametrize(("sample", "language"), [("ordinary", "id"), ("faulty", "en")])
def test_a_report_stands_alone(sample: str, language: str) -> None:
    page = report_page(SAMPLES[sample], WISHES, language)
    found = Text(page)
    assert all(address.startswith("data:image/") for address in found.loads)
    assert not found.tags & {"script", "link", "iframe", "object", "embed", "form"}
    assert b"url(" not in page
    assert b"@import" not in page
    assert b"""<meta http-equiv="Content-Security-Policy" content="default-src 'none';""" in page, (
        "a browser loads nothing"
    )
    assert f'<html lang="{language}">'.encode() in page


def test_an_ordinary_report_says_what_matters() -> None:
    text = page_of(SAMPLES["ordinary"]).text
    for words in (
        "Laporan pelaksanaan video konferen", "Universitas Contoh", "Seminar Nasional Arsip Digital",
        "123/UN99.FT/HM/2026 tanggal 19 November 2026", "Dr. Siti Rahmawati, M.T.", "Fakultas Teknik", "Aula Lantai 2",
        "Selasa, 24 November 2026", "09.00 s.d. 10.02 WIB", "1:02:05", "Kepala BPKH → Koord. PKIH",
        "terlambat 1 jam 30 menit", "Andi Pratama, Budi Santoso", "Logitech BRIO (podium, kamera)", "tripod",
        "1920 x 1080, 30 gambar/detik, H.264", "stereo, 48 kHz, AAC",
        "111.762; 0 hilang, 3 diulang", "-19,4 LUFS, rentang 7,2 LU", "2,1 GB",
        "youtube, relay-kampus", "kirim 18,4 Mbit/s, terima 92,0 Mbit/s; perlu 9,3 Mbit/s; jeda 14 ms",
        "siap, peringatan: 1", "Tidak memberi gambar atau suara", "slides", "09.10.00", "40 detik", "Tanya jawab",
        "HM.03.02", "2 tahun / 3 tahun", "Permanen", "diberikan: lisan, di awal acara", DIGEST, DIGEST[::-1],
        "Koordinator PKIH", "Staf Humas",
    ):  # fmt: skip
        assert words in text, words
    assert "Tidak ada gangguan" not in text
    assert "cables" not in text, "nobody has ticked it off"


def test_a_plain_session_has_a_report_too() -> None:
    text = page_of(SAMPLES["plain"], "id", ReportOptions()).text
    for words in (
        "Direkam tanpa surat permohonan", "Tidak ada gangguan yang tercatat", "tidak diukur", "tidak disiarkan",
        "tidak dilakukan", "belum ditanyakan",
    ):  # fmt: skip
        assert words in text, words
    assert "Bab" not in text


def test_what_there_is_no_room_for_is_counted() -> None:
    view = ReportView(SAMPLES["faulty"], WISHES, "id")
    (troubles, more_troubles), (chapters, more_chapters) = view.incidents, view.chapters
    assert (len(troubles), len(chapters)) == (MOST_INCIDENTS, MOST_CHAPTERS)
    assert (more_troubles, more_chapters) == (29 - MOST_INCIDENTS, 35 - MOST_CHAPTERS)
    text = page_of(SAMPLES["faulty"]).text
    assert f"dan {29 - MOST_INCIDENTS} lainnya, dalam metadata/events.jsonl" in text
    assert f"dan {35 - MOST_CHAPTERS} lainnya, dalam metadata/recording.json" in text
    assert "Perekam terhenti sebelum acara selesai" in text


def test_a_stream_that_nobody_saw_is_said_to_be_none() -> None:
    sample = SAMPLES["ordinary"]
    lost = event(3, "destination-lost", "youtube", reason="refused", live_s=0.0)
    text = page_of(replace(sample, events=(*sample.events, lost)), "en").text
    assert "Streamed to youtube (never went live), relay-kampus" in text
    assert "Stream never went live youtube" in text
    assert "never went live" not in page_of(sample, "en").text


def test_a_recording_that_was_recovered_does_not_say_that_nothing_went_wrong() -> None:
    """What a recorder dropped is counted from its log after a kill; that it was killed is a reason to be degraded."""
    text = page_of(changed("plain", dropped=0, repeated=0, degraded=("interrupted",))).text
    assert "Perekam terhenti sebelum acara selesai" in text
    assert "Tidak ada gangguan" not in text


@pytest.mark.parametrize(
    ("write", "value", "shown"),
    [
        (number_format.span, 0.44, "0,4 detik"),
        (number_format.span, 9.96, "10 detik"),
        (number_format.span, 59.6, "1 menit"),
        (number_format.span, 108_000, "1 hari 6 jam"),
        (number_format.office_span, 108_000, "30 jam"),  # four days of an office, of which the standard says "1 hari"
        (number_format.office_span, 5400, "1 jam 30 menit"),
        (number_format.office_span, 0.3, "kurang dari 1 menit"),
        (number_format.office_span, 89, "1 menit"),
        (number_format.size, 999, "999 B"),
        (number_format.size, 999_960, "1,0 MB"),
        (number_format.size, 2_140_000_000, "2,1 GB"),
        (partial(number_format.number, digits=1), -0.04, "0,0"),
        (partial(number_format.number, digits=1), -1234.56, "-1.234,6"),
    ],
)
def test_a_figure_is_written_in_the_units_that_fit_it(write: Callable[..., str], value: float, shown: str) -> None:
    assert write(value, "id") == shown


def test_a_session_that_ends_on_another_day_says_so() -> None:
    ended_at = STARTED + timedelta(hours=16)
    text = page_of(changed("plain", ended_at=ended_at)).text
    assert "09.00 s.d. 25 November 2026, 01.00 WIB" in text
    assert page_of(changed("plain", ended_at=ended_at.astimezone(UTC))).text == text, "in the zone it began in"


@pytest.mark.parametrize("rate", ["1/0", "x"])
def test_a_rate_that_is_none_is_left_out(rate: str) -> None:
    (media,) = SAMPLES["plain"].recording.media
    tracks = msgspec.structs.replace(media.tracks[0], rate=rate), *media.tracks[1:]
    strange = changed("plain", media=(msgspec.structs.replace(media, tracks=tracks),))
    assert "1920 x 1080, H.264" in page_of(strange).text


HOSTILE = '<script>alert(1)</script>"\'><img src="https://example.org/x.png" onerror=x>{{ 7*7 }}&amp;'


def test_what_people_have_typed_stays_text() -> None:
    chapters = (Chapter(start_s=0, title=HOSTILE[:60], source="mark"),)
    sample = changed(
        "ordinary", title=HOSTILE, office=HOSTILE, room=HOSTILE, destinations=(HOSTILE,), chapters=chapters
    )
    found = page_of(sample, wishes=msgspec.structs.replace(WISHES, address=(HOSTILE,), signers=(HOSTILE,)))
    assert "script" not in found.tags
    assert all(address.startswith("data:image/") for address in found.loads)
    assert found.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7*7 }}" in found.text


def test_odd_characters_make_a_page() -> None:
    odd = changed("plain", title="Rapat\ud800 \x00\x1b[31m\n\u202e\u4f1a\u8bae")
    assert "Rapat\ufffd [31m \u4f1a\u8bae" in page_of(odd).text
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", report_page(odd, WISHES, "id").decode())


def test_the_plot_has_each_value_over_the_middle_of_its_step() -> None:
    """Of four steps the third is silent: the line is at the floor at five eighths of the width, and nowhere else."""
    drawn = str(level_plot(SoundLevels(step_s=1.0, rms_dbfs=(0.0, 0.0, -60.0, 0.0), peak_dbfs=(0.0,) * 4)))
    (line,) = re.findall(r'<polyline points="([^"]+)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in line.split()]
    floor = max(y for _, y in places)
    left, width = places[0][0], places[-1][0] - places[0][0]
    assert [round((x - left) / width, 3) for x, y in places if y == floor] == [0.625]
    assert places[-1][0] == WIDTH
    single = str(level_plot(SoundLevels(step_s=0.5, rms_dbfs=(-20.0,), peak_dbfs=(-10.0,))))
    assert len(re.findall(r'<polyline points="([^"]+)"', single)[0].split()) == 3, "a line, not a dot"


# Everything that can go wrong, and every step, has words in the report.


def test_everything_that_degrades_a_session_has_words() -> None:
    told = emitted() - (HARMLESS_KINDS - WARNING_KINDS) - {"source-lost", "source-silent", "source-missing"}
    assert told - set(words_of("incidents")) == set()
    known = told | set(ENDED_BY) | LASTING_KINDS | {f"source-{fault}" for fault in FAULT_STATES}
    extra = set(words_of("incidents")) - known
    assert extra == {SOURCE_AWAY, incidents.GAP, incidents.NEVER_LIVE, incidents.OTHER} | incidents.OF_THE_DESCRIPTION


def test_steps_states_and_kinds_are_those_of_the_models() -> None:
    assert set(words_of("report-steps")) == set(map(str, StepKind))
    assert set(words_of("report-states")) == set(map(str, StepState))
    assert set(words_of("report-devices")) == set(map(str, DeviceKind))
