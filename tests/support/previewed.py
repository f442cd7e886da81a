"""The daemon's preview of the devices, in this process, with a real recorder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.daemon.parts import Parts
from agent.sessions.room_preview import RoomPreview
from config.settings.schema import CurrentSettings
from devices.host.clock import SystemClock
from devices.model.device import Device
from recorder.model.status import SessionState
from recorder.running.client import RunningRecorder, preview_recorder
from recorder.session.request import SessionRequest
from tests.support.waiting import wait_for


class Previewed:
    """A daemon's preview in a room with a camera and a microphone."""

    def __init__(self, home: Path, settings: str = "", video: str = "synthetic", audio: str = "synthetic") -> None:
        (home / "liput.toml").write_text(settings)
        self.plugged: list[Device] = []
        self.told: list[str] = []
        self.asked = SessionRequest(title="Coba", videos=(video,), audios=(audio,))
        self.part = RoomPreview(
            CurrentSettings(home / "liput.toml"), SystemClock(), self.told.append, self, self.asked
        )  # fmt: skip

    def number(self) -> int:
        """Implement Plugged."""
        return len(self.plugged)

    def there(self) -> list[Device]:
        """Implement Plugged."""
        return list(self.plugged)

    @contextmanager
    def running(self) -> Iterator[None]:
        parts = Parts([self.part], SystemClock(), self.told.append)
        parts.start()
        try:
            yield
        finally:
            assert parts.stop() == []
        assert preview_recorder() is None

    def stays_hidden(self, seconds: float) -> None:
        """Wish for it in vain, in real time: the part looks by the clock."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            assert self.part.want() is None
            time.sleep(0.05)

    def shown(self) -> RunningRecorder:
        """Wish for it until the devices are open."""

        def is_open() -> bool:
            found = self.part.want()
            return found is not None and found.state is SessionState.ARMED

        wait_for(is_open, what="the preview")
        found = self.part.want()
        assert found is not None
        return found
