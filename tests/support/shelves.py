"""An archive with as many packages as are asked for, made in no time: whole ones, each with its own words."""

import hashlib
import itertools
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from recorder.model import names
from recorder.model.marks import Mark
from recorder.package import bag
from recorder.package.documents import bag_info
from recorder.package.metadata import Addition, Chapter, MediaFile, Recording, RequestFacts
from recorder.package.work_folder import RECORDING_FILE

WORDS = (
    "rapat", "senat", "wisuda", "seminar", "kuliah", "umum", "pelantikan", "rektor", "fakultas", "teknik", "hukum",
    "kedokteran", "pertanian", "ekonomi", "penelitian", "pengabdian", "masyarakat", "kerja", "sama", "internasional",
    "anggaran", "akreditasi", "kurikulum", "mahasiswa", "alumni", "dosen",
)  # fmt: skip
SYLLABLES = ("ba", "ca", "di", "ge", "ka", "la", "mu", "na", "pe", "ra", "si", "tu", "wi", "yo")
TEXT = (*WORDS, *("".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)))
"""Words as they stand on slides: few that are on all of them, very many that are rare (Zipf)."""
ZIPF = tuple(itertools.accumulate(1 / rank for rank in range(1, len(TEXT) + 1)))
ROOMS = ("Aula", "Balairung", "Ruang Sidang 1", "Ruang Sidang 2")


def describe(number: int, *, slides: int = 20) -> Recording:
    """Return the description of a session of an hour; the same for the same number."""
    chance = random.Random(number)
    started = datetime(2022, 1, 3, 2, 0, tzinfo=UTC) + timedelta(hours=7 * number)

    def words(count: int) -> str:
        return " ".join(chance.choices(WORDS, k=count))

    def text(count: int) -> str:
        return " ".join(chance.choices(TEXT, cum_weights=ZIPF, k=count))

    return Recording(
        uuid=str(UUID(int=chance.getrandbits(128), version=4)), title=words(5).title(), started_at=started,
        ended_at=started + timedelta(hours=1), duration_s=3600.0, frames=108_000, dropped=0, repeated=0, degraded=(),
        office="Biro PKIH", room=chance.choice(ROOMS), host="aula", profile="1080p30", destinations=("youtube",),
        media=(MediaFile(file="data/media/program.mp4", container="mp4", bytes=5, duration_s=3600.0, tracks=()),),
        software={"liput": "0.1.0"},
        marks=tuple(Mark(at=started, media_s=60.0 * n, text=words(3)) for n in range(5)),
        chapters=tuple(
            Chapter(start_s=100.0 * n, title=text(4), source="slide", text=text(30)) for n in range(slides)
        ),
        request=RequestFacts(id=f"r-{number}", letter_number=f"B/{number}/UN38/TU.00.02/2026", applicant=words(2),
                             unit=words(3), event=words(6), place="Gedung Rektorat"),
        additions=(Addition(file="data/tambahan/foto.jpg", name=f"Foto {words(1)}.jpg", bytes=4, added_at=started),),
    )  # fmt: skip


def put(root: Path, recording: Recording) -> Path:
    """Write a whole package of `recording` into the archive at `root`; nothing is synced."""
    name = names.package_name(recording.title, recording.started_at, UUID(recording.uuid))
    folder = root / f"{recording.started_at:%Y}" / f"{recording.started_at:%m}" / name
    payload = {"data/media/program.mp4": b"media", "data/tambahan/foto.jpg": b"foto"}
    tags = {
        RECORDING_FILE: msgspec.json.encode(recording),
        bag.INFO_FILE: bag_info(recording, {path: len(content) for path, content in payload.items()}, "2026-11-24"),
        bag.DECLARATION_FILE: bag.DECLARATION.encode(),
        bag.MANIFEST_FILE: manifest(payload),
    }
    for path, content in {**payload, **tags, bag.TAG_MANIFEST_FILE: manifest(tags)}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def manifest(files: dict[str, bytes]) -> bytes:
    return bag.manifest_text({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})
