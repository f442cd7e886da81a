"""What is remembered of the devices that were seen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.state import StateFile
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.monitor.known_devices import (
    MAX_KNOWN_DEVICES,
    KnownDevice,
    KnownDevices,
    confirm,
    format_ago,
    known_store,
    most_recent,
    with_swaps,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-1", node="/dev/video0")
STICK = Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Stick", port="1-2", node="/dev/video2")


def test_first_and_last_time_are_kept_over_runs(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    first = KnownDevices(store)
    first.remember([CAMERA], NOW)
    first.save()
    later = KnownDevices(store)
    later.remember([CAMERA], NOW + timedelta(days=7))
    later.save()
    assert store.read() == {
        CAMERA.id: KnownDevice(name="Webcam", first_seen=NOW, last_seen=NOW + timedelta(days=7), port="1-1")
    }


def test_two_monitors_lose_nothing_of_each_other(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    one, two = KnownDevices(store), KnownDevices(store)
    one.remember([CAMERA], NOW)
    two.remember([STICK], NOW)
    one.save()
    two.save()
    assert store.read().keys() == {CAMERA.id, STICK.id}
    assert one.get(STICK.id) is None
    assert one.refresh() is True
    assert one.get(STICK.id) is not None
    assert one.refresh() is False


def test_a_file_that_is_damaged_or_missing_costs_the_past_only(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text("{")
    known = KnownDevices(known_store(path))
    known.remember([CAMERA], NOW)
    known.save()
    assert path.read_text() == "{"
    assert known.get(CAMERA.id) is not None
    forgetful = KnownDevices(known_store(path / "nowhere.json"))
    forgetful.remember([CAMERA], NOW)
    forgetful.save()
    assert forgetful.get(CAMERA.id) is not None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    known = KnownDevices(store)
    for number in range(MAX_KNOWN_DEVICES + 50):
        device = Device(id=f"dead:beef:{number}", kind=DeviceKind.CAMERA, name="")
        known.remember([device], NOW + timedelta(hours=number))
    known.save()
    assert list(store.read()) == [f"dead:beef:{number}" for number in range(MAX_KNOWN_DEVICES + 49, 49, -1)]
    assert most_recent({}) == {}


def test_what_is_unclear_is_kept_and_confirmed_by_id(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    assert confirm(store, [CAMERA.id]) == []
    assert not store.path.exists()
    known = KnownDevices(store)
    known.remember([CAMERA, STICK], NOW)
    known.mark_swapped(CAMERA.id, "may be another", NOW)
    known.mark_swapped(STICK.id, "may be another", NOW)
    known.mark_swapped("is:unknown", "may be another", NOW)
    known.remember([CAMERA], NOW)
    known.save()
    assert confirm(store, [STICK.id, "is:unknown"]) == [STICK.id]
    assert known.refresh() is True
    assert known.swapped().keys() == {CAMERA.id}
    marked, clear = with_swaps([CAMERA, STICK], store.read())
    assert marked.health == Health(HealthState.DEGRADED, "may be another", NOW, "swapped")
    assert clear == STICK


class Crowded(StateFile[dict[str, KnownDevice]]):
    """A file that another program changes, by `meanwhile`, right after each change of ours."""

    def __init__(self, path: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(path, dict[str, KnownDevice], {})
        self._meanwhile = meanwhile

    def change(self, change: Callable[[dict[str, KnownDevice]], dict[str, KnownDevice]]) -> dict[str, KnownDevice]:
        changed = super().change(change)
        self._meanwhile()
        return changed


def test_a_confirmation_is_heard_whenever_it_comes(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    known = KnownDevices(Crowded(store.path, lambda: confirm(store, [CAMERA.id])))
    known.remember([CAMERA, STICK], NOW)
    known.mark_swapped(CAMERA.id, "may be another", NOW)
    known.mark_swapped(STICK.id, "may be another", NOW)
    known.save()
    assert known.swapped().keys() == {CAMERA.id, STICK.id}, "taken over without a word"
    assert known.refresh() is True
    assert known.swapped().keys() == {STICK.id}
    known.remember([CAMERA, STICK], NOW)
    assert confirm(store, [STICK.id]) == [STICK.id]
    known.save()
    assert not store.read()[STICK.id].swapped, "seen again, it was marked again"
    assert known.refresh() is True
    assert not known.swapped()


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "less than a minute ago"), (timedelta(seconds=59), "less than a minute ago"),
        (timedelta(minutes=5, seconds=59), "5 min ago"), (timedelta(hours=47), "47 h ago"),
        (timedelta(days=7, hours=3), "7 days ago"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_as_people_do(span: timedelta, text: str) -> None:
    assert format_ago(span) == text
