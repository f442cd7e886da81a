"""What packages say about their sessions, from a plain one to one in which everything went wrong, for reports."""

import io
import math
import random
from datetime import date, datetime, timedelta, timezone
from functools import cache

from PIL import Image, ImageDraw

from config.events import Event
from config.settings.office import Office, StandardTime
from devices.model.device import Device, DeviceKind
from recorder.features.report.material import ReportMaterial, SoundLevels
from recorder.package.metadata import (
    AudioTrack,
    Chapter,
    Consent,
    Gap,
    MediaFile,
    Recording,
    Records,
    ReportOptions,
    VideoTrack,
)
from recorder.package.request import Procedure, Request, RequestRecord, Step, StepKind, StepState

STARTED = datetime(2026, 11, 24, 9, 0, tzinfo=timezone(timedelta(hours=7)))
LENGTH_S = 3725.4
TITLE = "Seminar Nasional Arsip Digital"
LONG_TITLE = (
    "Seminar Nasional Transformasi Digital dan Pengelolaan Arsip Perguruan Tinggi Negeri Tahun 2026 dalam Rangka Dies"
    " Natalis ke-45 Universitas Contoh bersama Lembaga Kearsipan Daerah dan Perhimpunan Arsiparis se-Indonesia, yang"
    " Diselenggarakan secara Luring dan Daring bagi Seluruh Sivitas Akademika di Lingkungan "
)[:299] + "X"
WISHES = ReportOptions(
    address=("Biro Perencanaan, Kerja Sama, dan Humas", "Jl. Pendidikan No. 1, Kota Contoh 12345"),
    signers=("Koordinator PKIH", "Staf Humas"),
)
DIGEST = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b"
_TALKS = ("Pembukaan", "Sambutan Wakil Rektor III", "Laporan panitia penyelenggara", "Materi: arsip digital",
          "Hasil survei", "Tanya jawab", "Penutup")  # fmt: skip


def material(title: str = TITLE, *, is_plain: bool = False, is_faulty: bool = False) -> ReportMaterial:
    """Return what a package says: an ordinary one has a request, chapters, and one source that was away."""
    files = ("data/media/program.mp4", *(f"data/media/{n}.mkv" for n in ("slides", "podium", "room") if is_faulty))
    return ReportMaterial(
        id="2026-11-24_0900_seminar-nasional-arsip-digital_3f2a91c0",
        recording=_recording(title, is_plain=is_plain, is_faulty=is_faulty),
        request=None if is_plain else _request(),
        checks={} if is_plain else _CHECKS,
        devices=_DEVICES,
        events=() if is_plain else tuple(_events(is_faulty=is_faulty)),
        levels=_levels(),
        digests=dict.fromkeys(files, DIGEST),
        manifest_digest=DIGEST[::-1],
        poster=_picture(3),
        pictures=tuple((f"0:{number * 8:02}:00", _picture(number)) for number in range(7)),
    )


def _recording(title: str, *, is_plain: bool, is_faulty: bool) -> Recording:
    talks = _TALKS * (5 if is_faulty else 1)
    return Recording(
        uuid="3f2a91c0-0000-4000-8000-000000000000", title=title,
        started_at=STARTED, ended_at=STARTED + timedelta(seconds=LENGTH_S), duration_s=LENGTH_S, frames=111_762,
        dropped=None if is_faulty else 0, repeated=None if is_faulty else 3, degraded=(),
        office="Universitas Contoh", room="Aula Lantai 2", host="pc-aula", profile="1080p30",
        destinations=() if is_plain else ("youtube", "relay-kampus"),
        media=(MediaFile(file="data/media/program.mp4", container="mov", bytes=2_140_000_000, duration_s=LENGTH_S,
                         tracks=(_VIDEO, _AUDIO)),),
        software={"liput": "0.1.0"}, loudness_lufs=-19.4, loudness_range_lu=7.2,
        chapters=() if is_plain else tuple(
            Chapter(start_s=number * 100.0, title=talk, source="slide") for number, talk in enumerate(talks)
        ),
        records=Records() if is_plain else Records(
            classification="HM.03.02", security="Biasa", retention_active="2 tahun", retention_inactive="3 tahun",
            disposition="Permanen",
        ),
        consent=Consent() if is_plain else Consent(state="given", note="lisan, di awal acara"),
        gaps=(Gap(start_s=1000, duration_s=14.2, reason="recorder killed"),) if is_faulty else (),
    )  # fmt: skip


_VIDEO = VideoTrack(
    index=0, codec="h264", profile="High", width=1920, height=1080, rate="30/1", bit_rate=0, pixel_format="yuv420p",
    color_range="limited", color_matrix="bt709", color_primaries="bt709", color_transfer="bt709", frames=111_762,
    duration_s=LENGTH_S,
)  # fmt: skip
_AUDIO = AudioTrack(
    index=1, codec="aac", profile="LC", sample_rate=48000, channels=2, layout="stereo", bit_rate=128_000,
    frames=174_628, duration_s=LENGTH_S,
)  # fmt: skip
_CHECKS = {
    "ready": True,
    "checks": [
        {
            "name": "uplink",
            "verdict": "ok",
            "measured": {"up_bps": 18_400_000, "down_bps": 92_000_000, "need_bps": 9_300_000, "idle_s": 0.014},
        },
        {"name": "by-hand: tripod", "verdict": "ok"},
        {"name": "by-hand: cables", "verdict": "unchecked"},
        {"name": "sound: podium", "verdict": "warning"},
    ],
}
_DEVICES = (
    Device(id="046d:085e:A1", kind=DeviceKind.CAMERA, name="Logitech BRIO", role="podium", port="1-1"),
    Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="MS2109 HDMI", role="slides", port="1-2"),
    Device(id="0d8c:0014@1-3", kind=DeviceKind.MICROPHONE, name="USB Audio", role="microphone", port="1-3"),
)


def _request() -> RequestRecord:
    roles = ("WR III", "Kepala BPKH", "Koord. PKIH", "Wakor Humas", "Staf Humas")
    day, late_s = StandardTime(days=1), 5400.0
    steps = (
        _step(1, StepKind.RECEIVE, "WR III", "", day, 7200),
        _step(2, StepKind.DISPOSE, "WR III", "Kepala BPKH", StandardTime(seconds=7200), 5400),
        _step(3, StepKind.DISPOSE, "Kepala BPKH", "Koord. PKIH", StandardTime(seconds=3600), 9000, late_s),
        _step(4, StepKind.DISPOSE, "Koord. PKIH", "Wakor Humas", StandardTime(seconds=600), 480),
        _step(5, StepKind.CARRY_OUT, "Staf Humas", "", day, 3725),
        _step(6, StepKind.ARCHIVE, "Staf Humas", "", day, 300),
    )
    request = Request(
        id="2026-11-19_seminar_1b2c3d4e", uuid="1b2c3d4e-0000-4000-8000-000000000000",
        letter_number="123/UN99.FT/HM/2026", letter_date=date(2026, 11, 19), applicant="Dr. Siti Rahmawati, M.T.",
        unit="Fakultas Teknik", event=TITLE, place="Aula Lantai 2", received_at=STARTED,
        staff=("Andi Pratama", "Budi Santoso"), equipment=("laptop", "kamera", "tripod", "USB capture", "kabel HDMI"),
        procedure=Procedure(roles=roles, steps=()),
    )  # fmt: skip
    return RequestRecord(as_of=STARTED, request=request, steps=steps, office=Office())


def _step(
    number: int, kind: StepKind, by: str, to: str, standard: StandardTime, used_s: float, late_s: float | None = None
) -> Step:
    state = StepState.LATE if late_s else StepState.MET
    return Step(
        number=number, kind=kind, by=by, to=to, standard=standard, state=state, used_s=float(used_s), late_s=late_s
    )


def event(at_s: float, kind: str, subject: str, /, **detail: object) -> Event:
    """Return an event of a log."""
    return Event(STARTED + timedelta(seconds=at_s), kind, subject, detail, "")


def _events(*, is_faulty: bool) -> list[Event]:
    found = [
        event(600, "source-silent", "slides", since_s=599.5),
        event(601, "source-lost", "slides", hint=""),
        event(640, "source-returned", "slides", at_s=640.0),
    ]
    if not is_faulty:
        return found
    for number, fault in enumerate(("no-signal", "frozen", "black", "silence", "dead-channel", "damaged", "slow")):
        for source in ("podium", "slides", "kamera belakang dengan nama yang panjang sekali untuk diuji di sini"):
            found.append(event(700 + number * 20, f"source-{fault}", source, fault=fault))
            found.append(event(713 + number * 20, "source-recovered", source, fault=fault))
    return [
        *found,
        event(900, "destination-lost", "youtube", reason="stalled"),
        event(1000, "frames-dropped", "podium", count=124),
        event(1100, "sound-lost", "microphone", count=12),
        event(1200, "storage-full", "/mnt/arsip/liput", hint=""),
        event(1201, "recording-gap", "/mnt/cadangan", start_s=1.0, duration_s=2.5),
        event(1400, "destination-live", "youtube", reconnects=1),
        event(2000, "something-new", "podium"),
        event(2500, "destination-lost", "relay-kampus", reason="closed"),
        event(LENGTH_S, "session-ended", TITLE),
    ]


def _levels() -> SoundLevels:
    chance = random.Random(3)
    rms = tuple(
        round(-22 + 6 * math.sin(point / 7) + chance.uniform(-5, 3) - (60 if 90 < point < 100 else 0), 1)
        for point in range(360)
    )
    return SoundLevels(step_s=LENGTH_S / 360, rms_dbfs=rms, peak_dbfs=tuple(round(min(-1.0, at + 12), 1) for at in rms))


@cache
def _picture(number: int) -> bytes:
    image = Image.new("RGB", (640, 360), (40 + number * 25, 90, 140))
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 40, 600, 90), fill="white")
    draw.text((50, 50), f"Salindia {number}", fill="black")
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()
