"""One session that streams through a faulty network: what it says and when, and what came of it."""

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devices.host.clock import NANOSECONDS
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.net.place import Place
from tests.support import media
from tests.support.command import Line, Running
from tests.support.recorders import recorders

NAME = "campus"
LATE_S = 1.0
"""So much may be recorded after it was asked to stop, or be missing before."""


@dataclass(slots=True)
class Told:
    """The lines of a session, each with when it came (time.monotonic)."""

    lines: list[tuple[float, Line]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def first(self, wanted: Callable[[Line], bool], since: float = 0.0) -> float | None:
        """Return when the first line that is `wanted` came, from `since` on."""
        return next((at for at, line in list(self.lines) if at >= since and wanted(line)), None)

    def wait_for(self, wanted: Callable[[Line], bool], patience_s: float, since: float = 0.0) -> float:
        """Wait for such a line, and return when it came."""
        with self.changed:
            came = self.changed.wait_for(lambda: self.first(wanted, since) is not None or self._is_over(), patience_s)
        at = self.first(wanted, since)
        assert came, [line for _, line in self.lines][-5:]
        assert at is not None, [line for _, line in self.lines][-5:]
        return at

    def _is_over(self) -> bool:
        return bool(self.lines) and self.lines[-1][1]["type"] in {"result", "error"}


class LiveSession:
    """`liput record` on the PC of a lab, its lines read as they come."""

    def __init__(
        self,
        home: Path,
        place: Place,
        destinations: dict[str, tuple[str, str]],
        profile: str,
        settings: str = "",
        sources: tuple[str, ...] = ("--video", "synthetic"),
    ) -> None:
        """`destinations` has the address and the key (or none: '') of each by its name."""
        lines = [settings] + [f'[destinations.{name}]\nurl = "{url}"\n' for name, (url, _) in destinations.items()]
        (home / "liput.toml").write_text("\n".join(lines))
        keys = home / "keys.toml"
        keys.write_text("".join(f'{name} = "{key}"\n' for name, (_, key) in destinations.items() if key))
        keys.chmod(0o600)
        self.told = Told()
        self._count = len(destinations)
        self._asked = 0.0
        streams = [word for name in destinations for word in ("--stream", name)]
        self.command = Running(
            home, "record", "--title", "Live", *sources, "--profile", profile, "--json",
            "--archive", home / "archive", "--config", home / "liput.toml", *streams, enter=place.enter,
            more={RUNTIME: str(home / ".runtime")},  # of its own: what is left of it is killed at the end
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="session-reader")
        self._reader.start()

    def _read(self) -> None:
        for line in self.command.read():
            with self.told.changed:
                self.told.lines.append((time.monotonic(), line))
                self.told.changed.notify_all()

    @property
    def recorder(self) -> int:
        """The process id of its recorder."""
        (info,) = recorders(self.command.runtime)
        return info.pid

    def stop(self) -> float:
        """End it in order, wait until it is sealed; return how many seconds passed until no connection was left."""
        asked = self._asked = time.monotonic()
        self.command.signal(signal.SIGINT)
        self._reader.join(600)
        self.command.wait_for_exit()
        stopped = [at for at, line in self.told.lines if line.get("kind") == "destination-stopped"]
        assert len(stopped) == self._count, [line for _, line in self.told.lines if line["type"] != "status"]
        return max(stopped) - asked

    def close(self) -> None:
        """Leave nothing behind."""
        self.command.close()
        self._reader.join(60)

    @property
    def zero(self) -> float:
        """When the recording's time 0 was (time.monotonic)."""
        return next(int(detail["clock_ns"]) / NANOSECONDS for detail in self.details("session-live"))

    def expected(self, rate: float) -> float:
        """Return how many pictures there were until it was asked to stop."""
        return (self._asked - self.zero) * rate

    def is_whole(self, recorded: Sequence[int | None], rate: float) -> bool:
        """Return whether each picture from the first to the moment at which it was stopped was `recorded`."""
        is_long_enough = abs(len(recorded) - self.expected(rate)) <= LATE_S * rate
        return is_long_enough and not self.not_next(recorded)

    @staticmethod
    def not_next(recorded: Sequence[int | None]) -> list[str]:
        """Return where a picture's number does not follow on the one before, or cannot be read."""
        pairs = enumerate(itertools.pairwise(recorded), 1)
        wrong = [f"{at}: {before}, {after}" for at, (before, after) in pairs if before is None or after != before + 1]
        return wrong if recorded else ["there is none"]

    def told_of(self, *kinds: str) -> Iterator[tuple[float, dict[str, str]]]:
        """Yield when each event of some kinds was told, and its details."""
        for at, line in self.told.lines:
            if line["type"] == "event" and line["kind"] in kinds:
                yield at, line["detail"]  # type: ignore[misc]

    def reasons(self, name: str) -> set[str]:
        """Return why one destination was not live."""
        lost = (line for _, line in self.told.lines if line.get("kind") == "destination-lost")
        return {line["detail"]["reason"] for line in lost if line["subject"] == name}  # type: ignore[index]

    def details(self, kind: str) -> Iterator[dict[str, str]]:
        """Yield the details of the events of one kind."""
        return (detail for _, detail in self.told_of(kind))

    @property
    def program(self) -> Path:
        """The film in the package."""
        result = next(line for _, line in self.told.lines if line["type"] == "result")
        assert result["state"] == "sealed", result
        path = Path(str(result["package"])) / "data" / "media" / "program.mp4"
        media.decodes_cleanly(path)
        return path
