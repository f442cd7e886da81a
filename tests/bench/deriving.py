"""What sealing makes of a recording, in CPU seconds: `python -m tests.bench.deriving [--hours H] [--noisy]`.

A minute of a talk at 1080p30 and 4.5 Mbit/s (four slides, a speaker in a corner who never stands still) is repeated up
to the length asked for, so that reading it costs what reading a real one does. `--noisy`: a sensor's noise over all of
it, as where slides are filmed. CPU is of the process that seals, and its children.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from recorder.archive.seal_step import Seal
from recorder.disk.durable import DurableFiles
from recorder.package.metadata import Begun, Recording, ReportOptions, SealOptions, SlideOptions, SlidesView
from recorder.package.work_folder import WorkFolder
from tests.support import archives
from tests.support.slides import DECK, deck, moving, record, still

MINUTE_S = 60
_CORNER = "split[a][b];[b]crop=480:270:1380:735,noise=alls=12:allf=t[c];[a][c]overlay=1380:735"
"""Noise only where the speaker is."""


def main() -> None:
    """Print one JSON object of figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--noisy", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="liput-deriving-") as folder:
        # Made by a process of its own: what that takes of memory is none of the sealing's.
        maker = multiprocessing.get_context("spawn").Process(
            target=_make, args=(Path(folder), asked.hours, asked.noisy)
        )
        maker.start()
        maker.join()
        print(json.dumps(measure(Path(folder), asked.hours), indent=2))


def measure(folder: Path, hours: float) -> dict[str, object]:
    """Return CPU and wall-clock seconds of each step for a recording of so many hours, and what memory it took."""
    archive = archives.archive_at(folder / "arsip")
    program = folder / "program.mp4"
    with archives.recorded(archive, program) as work:
        program.unlink()
        return {"hours": hours, "bytes": work.program.stat().st_size} | _steps(work)


def _make(place: str, hours: float, noisy: bool) -> None:
    folder = Path(place)
    pictures = [picture for number in range(1, len(DECK) + 1) for picture in still(deck(number), MINUTE_S / len(DECK))]
    small = record(folder / "small.mp4", moving((920, 490, 1240, 670), pictures), sound=True)
    minute, program = folder / "minute.mp4", folder / "program.mp4"
    noise = "noise=alls=4:allf=t" if noisy else _CORNER
    encode = ["-filter_complex", f"fps=30,scale=1920:1080,{noise}", "-c:v", "libx264", "-preset", "veryfast"]
    rates = [
        "-b:v",
        "4500k",
        "-maxrate",
        "4500k",
        "-bufsize",
        "4500k",
        "-g",
        "60",
        "-sc_threshold",
        "0",
        "-c:a",
        "copy",
    ]
    subprocess.run(["ffmpeg", "-v", "error", "-i", small, *encode, *rates, minute], check=True)
    repeat: list[str | Path] = ["-stream_loop", str(round(hours * 3600 / MINUTE_S) - 1), "-i", minute, "-c", "copy"]
    subprocess.run(["ffmpeg", "-v", "error", *repeat, program], check=True)
    minute.unlink()


def _steps(work: WorkFolder) -> dict[str, object]:
    from recorder.archive import sealing
    from recorder.features.report.report_step import ReportStep
    from recorder.features.slides.slides_step import SlidesStep
    from recorder.package import bag

    wishes = SealOptions(
        slides=SlideOptions(layout="single", views={"single": SlidesView()}),
        report=ReportOptions(signers=("Koordinator PKIH", "Staf Humas")),
    )
    context = msgspec.structs.replace(work.begun.context, wishes=wishes)
    begun: Begun = msgspec.structs.replace(work.begun, context=context)
    work.begun = begun
    described: Recording = sealing._describe(work, archives.FACTS, ["data/media/program.mp4"])
    seal = Seal(work, work.path, archives.STARTED, DurableFiles())
    report = ReportStep()
    before_mb = _peak_mb()
    figures: dict[str, object] = {}
    found: list[Recording] = []
    with _step(figures, "chapters"):
        found.append(SlidesStep().describe(seal, described))
    (work.path / "metadata/recording.json").write_bytes(msgspec.json.encode(found[0]))
    with _step(figures, "thumbnails and levels"):
        report.add_payload(seal, found[0])
    (work.path / bag.MANIFEST_FILE).write_bytes(bag.manifest_text({"data/media/program.mp4": "0" * 64}))
    with _step(figures, "report"):
        report.add_tags(seal, found[0])
    read = SealOptions(slides=SlideOptions(languages=("ind", "eng"), text_s=600))
    with _step(figures, f"text of {len(DECK)} slides"):
        _read(work.path, read)
    figures["chapters found"] = len(found[0].chapters)
    figures["peak memory before, after, MB"] = before_mb, _peak_mb()
    return figures


def _read(root: Path, wishes: SealOptions) -> None:
    from recorder.features.slides.chapters import read_slide

    assert wishes.slides
    until_s = time.monotonic() + wishes.slides.text_s
    for picture in sorted((root / "data/slides").glob("*.jpg")):
        read_slide(picture, wishes.slides.languages, until_s)


@contextmanager
def _step(figures: dict[str, object], name: str) -> Iterator[None]:
    began, cpu = time.perf_counter(), _cpu()
    yield
    figures[name] = {"cpu_s": round(_cpu() - cpu, 2), "wall_s": round(time.perf_counter() - began, 2)}


def _peak_mb() -> float:
    """Return the most memory that this process has had, which describing the media has its part in."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


if __name__ == "__main__":
    main()
