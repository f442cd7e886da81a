"""The notification on a desktop: one, that is replaced, and goes when the trouble is over; on a real D-Bus daemon."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.alarms.desktop import DesktopChannel, NoDesktop
from agent.alarms.message import Message
from agent.alarms.sender import ChannelSender
from devices.host.clock import SystemClock
from tests.support.alarms import AT, alarm, message, notice, over
from tests.support.buses import Bus, Notifications

pytestmark = pytest.mark.server


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    with Bus(tmp_path / "bus") as found:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", found.address)
        yield found


@pytest.fixture
def desktop() -> DesktopChannel:
    made = DesktopChannel("Aula", "id")
    made.deadline_s = 1.0
    return made


def test_one_notification_is_replaced_and_goes_with_the_trouble(bus: Bus, desktop: DesktopChannel) -> None:
    with Notifications(bus.address) as screen:
        desktop.send(message(alarm()))
        ((number, shown),) = screen.shown.items()
        assert shown.summary.startswith("Liput (Aula): Kamera podium terlepas: colokkan kembali.")
        assert shown.body == "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."
        assert (shown.urgency, shown.expires_ms) == (2, 0)
        desktop.send(message(alarm(), alarm("destination-lost", "youtube")))
        assert list(screen.shown) == [number]
        assert screen.shown[number].body.count("\n") == 1
        desktop.send(over())
        assert screen.shown == {}
        desktop.close()
        assert screen.asked == 3


def test_a_notice_of_the_schedule_has_a_notification_of_its_own_and_leaves_the_trouble(
    bus: Bus, desktop: DesktopChannel
) -> None:
    with Notifications(bus.address) as screen:
        desktop.send(message(alarm()))
        desktop.send(Message(at=AT, notices=(notice(),), present=(alarm(),), closes=True))
        trouble, said = screen.shown.values()
        assert (trouble.urgency, said.urgency, said.expires_ms) == (2, 1, -1)
        assert said.body == "Rapat dimulai 10 min lagi"
        desktop.send(Message(at=AT, notices=(notice("waits", text="Rapat: tekan mulai"),)))
        trouble, said = screen.shown.values()
        assert (said.body, said.urgency, said.expires_ms) == ("Rapat: tekan mulai", 2, 0)
        assert trouble.body.startswith("Kamera podium terlepas")
        desktop.send(over())
        assert [one.body for one in screen.shown.values()] == ["Rapat: tekan mulai"]
        desktop.send(Message(at=AT, notices=(notice(plan="wisuda", text="Wisuda dimulai 10 min lagi"),)))
        assert [one.body for one in screen.shown.values()] == ["Rapat: tekan mulai", "Wisuda dimulai 10 min lagi"]


def test_a_room_that_is_called_otherwise_keeps_what_is_shown(bus: Bus, desktop: DesktopChannel) -> None:
    with Notifications(bus.address) as screen:
        desktop.send(message(alarm()))
        sender = ChannelSender(desktop, SystemClock(), print)
        sender.use(DesktopChannel("Aula Lantai 2", "en"))
        (number,) = screen.shown
        sender.channel.send(message(alarm()))
        ((same, shown),) = screen.shown.items()
    assert same == number
    assert shown.summary.startswith("Liput (Aula Lantai 2): Podium camera was unplugged")


def test_letters_that_would_be_markup_are_shown_as_they_are(bus: Bus, desktop: DesktopChannel) -> None:
    with Notifications(bus.address) as screen:
        desktop.send(message(alarm(subject="<b>R&D</b>")))
        (shown,) = screen.shown.values()
    assert "&lt;b&gt;R&amp;D&lt;/b&gt; terlepas" in shown.body


def test_what_is_news_to_nobody_is_only_shown_where_something_is(bus: Bus, desktop: DesktopChannel) -> None:
    closing = closing_of(message())
    with Notifications(bus.address) as screen:
        desktop.send(closing)
        assert screen.shown == {}
        desktop.send(message())
        desktop.send(closing)
        assert len(screen.shown) == 1


def closing_of(told: Message) -> Message:
    return Message(at=told.at, began=told.began, present=told.present, closes=True)


def test_a_test_is_shown(bus: Bus, desktop: DesktopChannel) -> None:
    with Notifications(bus.address) as screen:
        desktop.send(Message(at=AT, is_test=True))
        (shown,) = screen.shown.values()
    assert "pesan uji" in shown.summary


def test_without_a_bus_or_a_desktop_it_is_said(
    tmp_path: Path, desktop: DesktopChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NoDesktop, match="no desktop here"):
        desktop.send(message())
    with Bus(tmp_path / "bus") as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        with pytest.raises(NoDesktop, match="ServiceUnknown"):
            desktop.send(message())
        with Notifications(bus.address, refuses=True), pytest.raises(NoDesktop, match="no program shows"):
            desktop.send(message())


def test_a_desktop_or_a_bus_that_hangs_costs_no_more_than_the_deadline(
    tmp_path: Path, bus: Bus, desktop: DesktopChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with Notifications(bus.address, mute=True), pytest.raises(NoDesktop, match="does not answer"):
        desktop.send(message())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute"))
        listener.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'mute'}")
        with pytest.raises(NoDesktop, match="does not answer"):
            desktop.send(message())
    assert time.monotonic() - began < 20.0
