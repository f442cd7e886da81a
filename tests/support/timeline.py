"""The parts of a recording as one timeline, judged by ffprobe."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from recorder.package.metadata import Begun
from recorder.package.work_folder import BEGUN_FILE
from tests.support import media


def picture_times(path: Path, offset_s: float = 0.0) -> list[float]:
    """Return when each picture of a file is shown, in seconds of the session, as ffprobe reads its packets."""
    listing = media.run(
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path
    )
    return sorted(float(line.strip(",")) + offset_s for line in listing.splitlines() if line.strip(","))


def offset_of(folder: Path) -> float:
    """Return the media time at which the part in a work folder begins."""
    return msgspec.json.decode((folder / BEGUN_FILE).read_bytes(), type=Begun).offset_s


def is_continuous(parts: Sequence[tuple[Path, float]], rate: float, end_s: float) -> None:
    """Fail unless the pictures of all parts, (file, offset), go from 0 to `end_s` without a gap of over two frames."""
    times = sorted(time for path, offset_s in parts for time in picture_times(path, offset_s))
    assert times, parts
    assert times[0] <= 1 / rate, times[0]
    gaps = [(before, after) for before, after in pairwise(times) if after - before > 2 / rate + 0.001]
    assert not gaps, gaps
    assert times[-1] >= end_s - 2 / rate - 0.001, (times[-1], end_s)
