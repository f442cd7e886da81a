"""A Record that keeps its lines in memory, for tests of whatever writes to the health log."""

import threading

from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import Clock


class Recorded:
    """Implements devices.health.log_line.HealthLogger; `lines` are what it was told, in order."""

    def __init__(self, clock: Clock) -> None:
        self.lines: list[HealthLine] = []
        self._clock = clock
        self._lock = threading.Lock()

    def __call__(
        self,
        device: str,
        kind: LogKind,
        reason: str = "",
        *,
        name: str = "",
        level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:
        with self._lock:
            at = self._clock.now()
            self.lines.append(
                HealthLine(at=at, device=device, name=name, level=level, kind=kind, reason=reason, detail=detail)
            )

    def of(self, kind: LogKind, device: str | None = None) -> list[HealthLine]:
        """Return the lines of one kind, of one device if it is named."""
        with self._lock:
            return [line for line in self.lines if line.kind == kind and device in {None, line.device}]

    def faults(self) -> list[tuple[float, str, str]]:
        """Return (seconds after the first line, kind of line, fault) of what was found and what was over."""
        with self._lock:
            return [
                (round((line.at - self.lines[0].at).total_seconds(), 3), str(line.kind), str(line.detail["fault"]))
                for line in self.lines
                if "fault" in line.detail
            ]
