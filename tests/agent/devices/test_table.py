"""How devices are shown while they change: lines of JSON, and a table that fits its terminal."""

import io
import json
from datetime import datetime, tzinfo

import msgspec
import pytest
from rich.console import Console

from agent.devices import table as texts
from agent.devices.board import DeviceBoard
from agent.devices.table import JsonDeviceView, TableDeviceView, health_text
from devices.health.log_line import PC, HealthLine, LogLevel
from devices.model.device import Device, DeviceKind, Health, HealthState

AT = datetime(2026, 11, 30, 9, 41, 12).astimezone()
CAMERA = Device(
    id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="HD Pro Webcam [C920]", port="1-1", node="/dev/video0",
    link_bps=480_000_000, role="podium",
)  # fmt: skip
STICK = Device(
    id="534d:2109@1-2.3", kind=DeviceKind.CAPTURE_CARD, name="MS2109 HDMI capture stick", port="1-2.3",
    node="/dev/video2", health=Health(HealthState.SILENT, "nothing is plugged into its HDMI input", AT, "no-signal"),
)  # fmt: skip


def board(*devices: Device, missing: tuple[str, ...] = ()) -> DeviceBoard:
    found = DeviceBoard()
    found.devices, found.missing = devices, list(missing)
    return found


class Drawn:
    """A table on a terminal of this width."""

    def __init__(self, width: int = 200) -> None:
        file = io.StringIO()
        self.console = Console(file=file, force_terminal=True, width=width, height=40, markup=False, record=True)
        self.view = TableDeviceView(self.console)

    def lines(self) -> list[str]:
        """Return what is on the screen now, below the heading."""
        with self.view:
            self.console.export_text()
            self.view.redraw()
        screen = self.console.export_text().splitlines()[2:]
        return "\n".join(line.rstrip() for line in screen).rstrip().splitlines()


class ThatDay(datetime):
    """The day of AT, also where midnight passes while tests run."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "ThatDay":
        return cls.fromtimestamp(AT.timestamp(), tz)


@pytest.fixture(autouse=True)
def a_terminal_that_can_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture(autouse=True)
def that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "datetime", ThatDay)


def test_programs_get_a_line_of_all_and_then_one_for_each_change(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with JsonDeviceView() as shower:
        shower.begin(AT, board(CAMERA))
        shower.changed(AT, [("plugged", STICK), ("unplugged", CAMERA)], board(STICK))
        shower.told(HealthLine(at=AT, device=PC, kind="kernel", reason="x"))
        shower.redraw()
    first, plugged, unplugged = map(json.loads, capfdbinary.readouterr().out.splitlines())
    assert first["type"] == "devices"
    assert msgspec.convert(first["devices"], list[Device]) == [CAMERA]
    assert (plugged["type"], plugged["change"]) == ("device-change", "plugged")
    assert datetime.fromisoformat(plugged["at"]) == AT
    assert plugged["device"]["health"]["state"] == "silent"
    assert (unplugged["change"], unplugged["device"]["id"]) == ("unplugged", CAMERA.id)


def test_people_see_who_is_there_where_and_how() -> None:
    drawn = Drawn()
    drawn.view.begin(AT, board(CAMERA, STICK, missing=("slides is missing: why",)))
    lines = drawn.lines()
    assert lines[:2] == ["slides is missing: why", ""]
    assert lines[3].split("  ")[0] == "HD Pro Webcam [C920]"
    assert {"podium", CAMERA.id, "/dev/video0", "ok"} <= set(lines[3].split())
    assert "port 1-1 (480 Mbit/s)" in lines[4]
    assert lines[5].endswith("silent since 09:41:12: nothing is plugged into its HDMI input")


@pytest.mark.parametrize("width", [60, 80, 130])
def test_nothing_is_cut_off_and_what_one_may_want_to_copy_is_never_broken(width: int) -> None:
    sound = msgspec.structs.replace(STICK, id="534d:2109@1-2.3+sound", node=None, alsa="hw:CARD=MS2109,DEV=0")
    drawn = Drawn(width)
    drawn.view.begin(AT, board(CAMERA, STICK, sound))
    text = "\n".join(drawn.lines())
    assert max(map(len, text.splitlines())) <= width
    for whole in (CAMERA.id, STICK.id, sound.id, "/dev/video2", "hw:CARD=MS2109,DEV=0", "port 1-2.3"):
        assert whole in text
    assert "…" not in text


def test_what_was_unplugged_stays_in_sight_until_it_is_back() -> None:
    drawn = Drawn()
    drawn.view.begin(AT, board(CAMERA, STICK))
    drawn.view.changed(AT, [("unplugged", CAMERA)], board(STICK))
    gone, news = (line for line in drawn.lines() if "unplugged" in line)
    assert CAMERA.id in gone
    assert gone.endswith("unplugged since 09:41:12")
    assert "HD Pro Webcam [C920]: unplugged" in news
    drawn.view.changed(AT, [("plugged", CAMERA)], board(CAMERA, STICK))
    assert not any("unplugged since" in line for line in drawn.lines())


def test_the_newest_news_come_first_with_what_to_do() -> None:
    drawn = Drawn()
    drawn.view.begin(AT, board(CAMERA))
    drawn.view.changed(AT, [("health", msgspec.structs.replace(CAMERA, health=STICK.health))], board(CAMERA))
    advice = {"advice": "Check the cable."}
    drawn.view.told(HealthLine(at=AT, device="1-7", kind="kernel", level=LogLevel.ERROR, reason="words", detail=advice))
    drawn.view.told(HealthLine(at=AT, device=PC, kind="watch-stopped", reason="why"))
    assert [line for line in drawn.lines() if line.startswith("09:41:12")] == [
        "09:41:12  this PC: watch stopped: why",
        "09:41:12  port 1-7: kernel: words. Check the cable.",
        "09:41:12  HD Pro Webcam [C920]: silent since 09:41:12: nothing is plugged into its HDMI input",
    ]


def test_a_health_found_by_asking_just_now_says_no_time() -> None:
    health = Health(HealthState.DEGRADED, "why", AT)
    assert health_text(health, AT) == "degraded: why"
    assert health_text(health) == "degraded since 09:41:12: why"
    assert health_text(Health()) == "ok"
