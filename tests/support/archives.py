"""Archives for tests: a small real recording, and packages made from it."""

import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import bagit
import msgspec

from devices.model.device import Device, DeviceKind
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.package import request
from recorder.package.metadata import (
    Package,
    RecordingFacts,
    ReportOptions,
    SealOptions,
    SessionContext,
    SlideOptions,
    SlidesView,
)
from recorder.package.work_folder import WorkFolder
from tests.support.simulated import SimulatedClock

WIB = timezone(timedelta(hours=7))
STARTED = datetime(2026, 11, 24, 9, 0, tzinfo=WIB)
FACTS = RecordingFacts(
    ended_at=STARTED + timedelta(seconds=2), dropped=1, repeated=2, degraded=("source-lost: podium",)
)
CAMERA = Device(id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="Kamera", serial="CAM0001", port="1-1")
CONTEXT = SessionContext(
    office="Biro PKIH", room="Aula", profile="360p25", destinations=("youtube",), devices=(CAMERA,)
)
DERIVED = msgspec.structs.replace(
    CONTEXT,
    wishes=SealOptions(
        slides=SlideOptions(layout="single", views={"single": SlidesView()}),
        report=ReportOptions(signers=("Staf Humas",)),
    ),
)
"""With all that can be made of a recording, but for what is read on slides."""
FRAMES = 50
RECORDING_SCHEMA = Path(request.__file__).with_name("recording.schema.json")
REQUEST_SCHEMA = Path(request.__file__).with_name("request.schema.json")


def make_program(path: Path) -> Path:
    """Make 2 s of pictures (the first half second black) and sound with the ffmpeg command: 50 frames, H.264, AAC."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "smptebars=s=320x180:r=25:d=2",
         "-f", "lavfi", "-i", "sine=440:r=48000:d=2", "-vf", "drawbox=t=fill:c=black:enable='lt(t,0.5)'",
         "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac", str(path)],
        check=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    return path


def no_pdf(page: bytes) -> bytes:
    """Stand in for what makes a PDF, where a hundred of them would be made."""
    return b"%PDF-1.7 stand-in"


def fails(code: int, when: Callable[[str, Path], bool]) -> DurableFiles:
    """Return a disk that fails with `code` at the steps for which `when(step, path)` holds."""

    def before(step: str, path: Path) -> None:
        if when(step, path):
            raise OSError(code, os.strerror(code), str(path))

    return DurableFiles(before)


def archive_at(root: Path, disk: DurableFiles | None = None) -> Archive:
    """Return the archive at `root`, with a clock that stands still and a reserve that any disk has."""
    return Archive(root, SimulatedClock(), reserve_bytes=1, disk=disk)


@contextmanager
def recorded(
    archive: Archive, program: Path, title: str = "Rapat Senat", context: SessionContext = CONTEXT
) -> Iterator[WorkFolder]:
    """Give the work folder of a session that has ended, with `program` recorded in it."""
    work = archive.begin(title, STARTED, context)
    try:
        shutil.copyfile(program, work.program)
        work.events.write_text('{"type":"event","kind":"started"}\n')
        yield work
    finally:
        work.release()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of everything below a folder, and where links lead."""
    return {
        str(path.relative_to(folder)): os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def validate_bag(folder: Path) -> dict[str, str | list[str]]:
    """Let the bagit library validate a package; return its bag-info fields."""
    with bagit_warns():
        package = bagit.Bag(str(folder))
        assert package.validate()
    info: dict[str, str | list[str]] = package.info
    return info


def fetch_entries(folder: Path) -> dict[str, tuple[str, int]]:
    """Return what the bagit library reads in the fetch.txt of a package: address and bytes of each path."""
    with bagit_warns():
        return {path: (url, int(size)) for url, size, path in bagit.Bag(str(folder)).fetch_entries()}


@contextmanager
def bagit_warns() -> Iterator[None]:
    with warnings.catch_warnings():
        # bagit 1.9 calls re.sub with positional flags, which Python 3.13 warns of.
        warnings.filterwarnings("ignore", "'count' is passed as positional argument", DeprecationWarning)
        yield


def seal_one(archive: Archive, program: Path, title: str = "Rapat Senat") -> Package:
    """Return a package of `program`."""
    with recorded(archive, program, title) as work:
        package = archive.seal(work, FACTS)
    validate_bag(package.folder)
    return package
