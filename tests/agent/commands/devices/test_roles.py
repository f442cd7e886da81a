"""`liput devices assign`, `unassign`, `roles`: what people and scripts see, and what is kept."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli.group import liput
from agent.devices import listing
from config.errors import DeviceError, LiputError
from devices.health.log_line import HealthLine, LogKind
from devices.health.log_reader import LogFilter, read
from devices.model.device import Device, DeviceKind
from devices.monitor.known_devices import KnownDevice, known_store
from devices.roles.assignment import roles_store
from tests.support.errors import because
from tests.support.ports import STICK, WEBCAM, PortRoom

MIXER = Device(id="sound:mixer", kind=DeviceKind.MICROPHONE, name="mixer")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Desk:
    """A room, and the command line in it."""

    def __init__(self, state: Path) -> None:
        self.room = PortRoom()
        self.state = state
        self.servers_asked = 0

    def servers(self) -> list[Device]:
        self.servers_asked += 1
        return [MIXER]

    def run(self, *words: str) -> Result:
        result = CliRunner().invoke(liput, ["devices", *words])
        if isinstance(result.exception, LiputError):
            raise result.exception
        assert result.exception is None, result.output
        assert result.exit_code == 0
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def bound(self) -> dict[str, str]:
        return {role: binding.id for role, binding in roles_store().read().items()}

    def lines(self) -> Sequence[HealthLine]:
        return list(read(self.state / "health", LogFilter()))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    desk = Desk(tmp_path)
    monkeypatch.setattr(listing, "list_devices", desk.room.devices)
    monkeypatch.setattr(listing, "server_inputs", desk.servers)
    desk.room.plug(WEBCAM, "1-1")
    desk.room.plug(STICK, "1-2")
    return desk


def test_a_role_is_given_and_taken(desk: Desk) -> None:
    assert desk.run("assign", "podium", "1-1").stdout == "podium: C270 (046d:0825:A1)\n"
    assert desk.run("unassign", "podium").stdout == "podium is nobody's now; it was C270 (046d:0825:A1)\n"
    assert len(desk.lines()) == 2, "both are in the health log"


def test_scripts_get_what_was_done(desk: Desk) -> None:
    desk.run("assign", "podium", "1-1")
    assert desk.json("assign", "podium", "1-2") == {
        "role": "podium", "device": "534d:2109@1-2", "name": "MS2109 HDMI capture stick", "before": "046d:0825:A1",
    }  # fmt: skip
    assert (desk.bound(), desk.lines()[-1].kind) == ({"podium": "534d:2109@1-2"}, LogKind.ROLE_ASSIGNED)
    assert desk.json("unassign", "Podium") == {
        "role": "podium", "device": "534d:2109@1-2", "name": "MS2109 HDMI capture stick",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("role", "word", "device"),
    [
        ("slides", "1-2", "534d:2109@1-2"),
        ("microphone", "1-2", "534d:2109@1-2+sound"),
        ("aula", "1-2", "534d:2109@1-2"),
        ("microphone", "sound:mixer", "sound:mixer"),
    ],
)
def test_of_picture_and_sound_the_one_that_suits_the_role_is_meant(
    desk: Desk, role: str, word: str, device: str
) -> None:
    desk.run("assign", role, word)
    assert desk.bound() == {role: device}


def test_a_camera_without_sound_is_no_microphone(desk: Desk) -> None:
    with pytest.raises(DeviceError, match="gives no sound", check=because("unsupported")):
        desk.run("assign", "microphone", "1-1")
    assert desk.bound() == {}


def test_sound_servers_are_asked_only_where_one_of_their_inputs_may_be_meant(desk: Desk) -> None:
    desk.run("assign", "podium", "1-1")
    desk.run("roles")
    assert desk.servers_asked == 0
    desk.run("assign", "microphone", "sound:mixer")
    assert desk.json("roles")["roles"][1]["state"] == "present"
    assert desk.servers_asked == 2


def test_roles_are_proposed_and_taken_as_proposed(desk: Desk) -> None:
    text = desk.run("roles").stdout
    assert "  slides: MS2109 HDMI capture stick (534d:2109@1-2)\n" in text
    assert "liput devices roles --accept gives them" in text
    assert desk.json("roles") == {
        "roles": [],
        "proposals": [
            {"role": "slides", "device": "534d:2109@1-2"},
            {"role": "podium", "device": "046d:0825:A1"},
            {"role": "microphone", "device": "534d:2109@1-2+sound"},
        ],
    }
    assert desk.bound() == {}
    document = desk.json("roles", "--accept")
    assert document["proposals"] == []
    assert [(state["role"], state["state"]) for state in document["roles"]] == [
        ("slides", "present"), ("podium", "present"), ("microphone", "present"),
    ]  # fmt: skip
    again = desk.run("roles", "--accept")
    assert "No roles are proposed: roles are given already." in again.stderr
    assert len(desk.lines()) == 3


def test_a_missing_role_is_shown_with_its_reason_and_the_replacement(desk: Desk) -> None:
    desk.run("assign", "podium", "1-1")
    desk.run("assign", "slides", "1-2")
    desk.room.plug(desk.room.unplug("1-2"), "1-7")
    desk.room.unplug("1-1")
    desk.room.plug(replace(WEBCAM, serial="B2"), "1-1")
    podium, slides = desk.json("roles")["roles"]
    assert podium == {
        "role": "podium", "state": "missing", "id": "046d:0825:A1", "name": "C270", "device": None, "port": "1-1",
        "reason": "another C270 is in its port 1-1: its serial number is B2, not A1", "unclear": None,
        "replacement": "046d:0825:B2", "elsewhere": [],
    }  # fmt: skip
    assert (slides["state"], slides["replacement"], slides["elsewhere"]) == ("missing", None, ["534d:2109@1-7"])
    text = desk.run("roles").stdout
    assert "missing: another C270 is in its port 1-1" in text
    hints = text.splitlines()[-2:]
    assert hints == [
        "To take the one in its port: liput devices assign podium 046d:0825:B2",
        "The same model in another port: liput devices assign slides 534d:2109@1-7",
    ]
    assert desk.run("assign", "podium", "046d:0825:B2").stdout == (
        "podium: C270 (046d:0825:B2), in place of C270 (046d:0825:A1)\n"
    )
    line = desk.lines()[-1]
    assert (line.kind, line.device) == (LogKind.ROLE_REPLACED, "046d:0825:B2")
    assert line.detail == {"role": "podium", "old": "046d:0825:A1", "new": "046d:0825:B2"}


@pytest.mark.parametrize(
    ("words", "given", "note"),
    [
        (("slides", "534d:2109@1-2+sound"), "534d:2109@1-2", "534d:2109@1-2+sound gives sound; slides needs picture"),
        (("mic", "1-2"), "534d:2109@1-2", "Where its sound is meant: liput devices assign mic 534d:2109@1-2+sound"),
        (("mic", "hw:card=Card3,dev=0"), "534d:2109@1-2+sound", ""),
    ],
)
def test_what_may_not_have_been_meant_is_said(desk: Desk, words: tuple[str, str], given: str, note: str) -> None:
    result = desk.run("assign", *words)
    assert desk.bound() == {words[0]: given}
    assert result.stderr.startswith(note) if note else result.stderr == ""


def mark_swapped(*ids: str) -> None:
    mark = KnownDevice(name="", first_seen=NOW, last_seen=NOW, swapped="may have changed places", swapped_at=NOW)
    known_store().change(lambda known: {**known, **dict.fromkeys(ids, mark)})


def swapped() -> set[str]:
    return {device_id for device_id, known in known_store().read().items() if known.swapped}


def test_what_may_have_been_swapped_is_shown_until_it_is_confirmed(desk: Desk) -> None:
    desk.run("assign", "slides", "1-2")
    mark_swapped("534d:2109@1-2", "534d:2109@1-2+sound", "dead:beef@1-9")
    assert desk.json("roles")["roles"][0]["unclear"] == "may have changed places"
    assert "may have changed places" in desk.run("roles").stdout
    result = desk.run("roles", "--confirm")
    assert "MS2109 HDMI capture stick (534d:2109@1-2) is where it should be" in result.stderr
    assert swapped() == {"dead:beef@1-9"}
    assert "may have" not in desk.run("roles").stdout
    assert [line.detail["fault"] for line in desk.lines()[1:]] == ["swapped", "swapped"]
    assert "Nothing was unclear." in desk.run("roles", "--confirm").stderr


def test_giving_a_role_settles_who_is_who_among_the_twins(desk: Desk) -> None:
    desk.room.plug(STICK, "1-3")
    mark_swapped("534d:2109@1-2", "534d:2109@1-3", "046d:0825:A1")
    desk.run("assign", "slides", "1-3")
    assert swapped() == {"046d:0825:A1"}
