"""The wizard's settings by the API: what may be set, by whom, and that keys go in and never come out."""

import asyncio
import grp
import os
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent.daemon.log import DaemonLog
from agent.terminal.redact import redactor_for
from agent.web.app import make_app
from agent.web.http.token import read_token
from config.settings.schema import SYSTEM_FILE, load_settings
from config.settings.secrets import read_keys
from devices.host.clock import SystemClock
from recorder.running.access import OPERATORS_VARIABLE as OPERATORS
from recorder.running.client import running_recorders
from tests.support import web
from tests.support.processes import be_powerless_root, confined
from tests.support.room import Room
from tests.support.web import Page

pytestmark = pytest.mark.server
AT = "/api/v1/settings"
KAMPUS = f"{AT}/destinations/kampus"
KEY = "rahasia-abcd-1234"
URL = "rtmps://live.kampus.example/live"


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serve the page of a PC without settings, to whom nothing belongs yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LIPUT_CONFIG", raising=False)
    with web.serving() as page:
        yield page


def test_a_pc_without_settings_is_set_up_and_what_is_set_holds_at_once(new: Page, tmp_path: Path) -> None:
    before = new.get(AT).json
    file = tmp_path / "config/liput/liput.toml"
    assert (before["is_new"], before["locked"], before["language"], before["room"]) == (True, None, "id", "")
    assert before["file"] == str(file)
    assert not file.exists()
    archive = tmp_path / "arsip"
    body = {"language": "en", "room": ' Aula "Lantai 2" \\ ', "archive": str(archive)}
    after = new.ask("PATCH", AT, body).json
    assert (after["is_new"], after["language"], after["room"]) == (False, "en", 'Aula "Lantai 2" \\')
    assert (after["archive"]["path"], after["archive"]["state"]["verdict"]) == (str(archive), "ok")
    assert load_settings(file).archive.path == archive
    state = new.get("/api/v1/state").json
    assert (state["room"], state["language"]) == ('Aula "Lantai 2" \\', "en")


def test_while_a_session_runs_its_archive_stays_and_nothing_is_rehearsed(new: Page, tmp_path: Path) -> None:
    new.ask("PATCH", AT, {"room": "Aula", "archive": str(tmp_path / "arsip")})
    began = new.post("/api/v1/sessions", {"title": "Rapat", "videos": ["synthetic"], "arm_only": True})
    (one,) = running_recorders()
    assert one.info.archive == str(tmp_path / "arsip")
    assert new.ask("PATCH", AT, {"archive": str(tmp_path / "lain")}).status == 409, "it is in use"
    assert new.ask("PATCH", AT, {"room": "Aula 2"}).status == 200
    assert new.post("/api/v1/rehearsals", {"practice": True}).status == 409, "the PC is the session's"
    new.post(f"/api/v1/sessions/{began.json['id']}/disarm")


def test_bad_values_are_refused_and_nothing_is_written(room: Room) -> None:
    archives = ("arsip", "/srv/../etc", "~root/x", "~/../x", "/srv/a\nb", "", "-rf")
    bodies: tuple[dict[str, Any], ...] = (
        {"language": "fr"}, {"language": 1}, {"room": "x" * 121}, {"room": "\x1b[2J"}, {"keys_file": "/etc/shadow"},
        *({"archive": path} for path in archives),
    )  # fmt: skip
    before = room.settings.read_text()
    with web.serving(config_file=room.settings) as page:
        for body in bodies:
            assert page.ask("PATCH", AT, body).status == 400, body
    assert room.settings.read_text() == before


def test_an_archive_that_cannot_take_a_session_is_refused(room: Room, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with web.serving(config_file=room.settings) as page:
        for path in ("/proc/arsip", str(tmp_path / "file/arsip"), "/mnt/none-such/arsip"):
            answer = page.ask("PATCH", AT, {"archive": path, "room": "Lain"})
            assert answer.status == 409, path
            assert answer.json["message"]
        assert load_settings(room.settings).general.room == "Aula", "all that is asked for, or nothing"


def test_an_archive_that_was_named_at_the_start_stays(page: Page, room: Room) -> None:
    assert page.get(AT).json["archive"]["fixed"] is True
    assert page.get(AT).json["archive"]["path"] == str(room.archive)
    assert page.ask("PATCH", AT, {"archive": "/srv/arsip"}).status == 400


def test_a_service_of_the_system_has_its_settings_in_etc(new: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    assert new.get(AT).json["file"] != str(SYSTEM_FILE)
    monkeypatch.setenv(OPERATORS, grp.getgrgid(os.getegid()).gr_name)
    assert new.get(AT).json["file"] == str(SYSTEM_FILE)


# Destinations


def test_a_key_goes_into_its_file_and_never_comes_out(page: Page, room: Room) -> None:
    answers = [page.ask("PUT", KAMPUS, {"url": URL, "key": KEY}), page.get(AT), page.get("/api/v1/state")]
    answers.append(page.ask("PUT", f"{AT}/destinations/relay", {"url": "srt://r.example:9000", "passphrase": KEY}))
    assert [answer.status for answer in answers] == [200, 200, 200, 200]
    assert all(KEY.encode() not in answer.body for answer in answers)
    assert not any(KEY in line for line in page.told)
    assert KEY not in room.settings.read_text()
    keys = room.settings.with_name("keys.toml")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert read_keys(load_settings(room.settings))["kampus"].reveal() == KEY
    known = {one["name"]: one for one in page.get(AT).json["destinations"]}
    assert known["kampus"] == {"name": "kampus", "url": URL, "key": "set", "test": False}
    assert known["relay"]["key"] == "set"
    assert known["web"]["key"] == "not needed"


def test_a_key_is_in_no_log_from_then_on(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    log = DaemonLog("people", SystemClock())
    with web.serving(config_file=room.settings, learn=lambda changed: log.know(redactor_for(changed)[0])) as page:
        assert page.ask("PUT", KAMPUS, {"url": URL, "key": KEY}).status == 200
    log.say(f"somebody says {KEY}")
    said = capsys.readouterr()
    assert "somebody says" in said.out + said.err
    assert KEY not in said.out + said.err


def test_a_key_is_not_sent_to_another_address_than_it_was_given_for(page: Page, room: Room) -> None:
    assert page.ask("PUT", KAMPUS, {"url": URL, "key": KEY}).status == 200
    stolen = page.ask("PUT", KAMPUS, {"url": "rtmps://evil.example/live"})
    assert stolen.status == 400
    assert load_settings(room.settings).destinations["kampus"].url == URL
    written = room.settings.read_text()
    room.settings.write_text(written[: written.index("[destinations.kampus]")])
    assert page.ask("PUT", KAMPUS, {"url": "rtmps://evil.example/live"}).status == 400, "also where it was taken out"
    room.settings.write_text(written)
    assert page.ask("PUT", KAMPUS, {"url": f"{URL}/", "test": True}).json["destinations"][-1]["test"] is True
    assert page.ask("PUT", KAMPUS, {"url": "rtmps://new.example/live", "key": "another"}).status == 200
    assert read_keys(load_settings(room.settings))["kampus"].reveal() == "another"
    others = [one["name"] for one in page.ask("DELETE", KAMPUS).json["destinations"]]
    after = load_settings(room.settings)
    assert others == [*after.destinations]
    assert "kampus" not in {*after.destinations, *read_keys(after)}
    assert page.ask("DELETE", KAMPUS).status == 400


def test_destinations_that_are_none_are_refused_and_nothing_is_written(page: Page, room: Room) -> None:
    before = room.settings.read_text()
    bodies: tuple[dict[str, str], ...] = (
        {"url": "https://kampus.example"}, {"url": f"rtmps://me:{KEY}@kampus.example/live"},
        {"url": "file:///home/me/.ssh"}, {"url": URL, "key": f"{KEY} x"},
        {"url": URL, "key": f"rtmps://k.example/{KEY}"}, {"url": URL, "passphrase": f"{KEY}-{KEY}"},
        {"url": "srt://r.example:9000", "passphrase": KEY[:5]},
        {"url": "srt://r.example:9000", "key": KEY, "passphrase": KEY}, {"key": KEY},
    )  # fmt: skip
    asked = [("kampus", body) for body in bodies]
    for name, body in (*asked, *((name, {"url": URL}) for name in ("keys", "a%20b", "..", "%5Bx%5D", "x" * 41))):
        answer = page.ask("PUT", f"{AT}/destinations/{name}", body)
        assert answer.status == 400, (name, body)
        assert KEY[:5].encode() not in answer.body
    assert room.settings.read_text() == before
    assert not room.settings.with_name("keys.toml").exists()


# Who may


def test_settings_of_it_are_said_to_be_so_and_stay(room: Room) -> None:
    room.settings.chmod(0o444)
    confine = be_powerless_root if os.geteuid() == 0 else lambda: None

    def ask() -> None:
        with web.serving(config_file=room.settings) as page:
            found = page.get(AT).json
            assert (found["locked"], found["room"]) == ("file", "Aula")
            assert str(room.settings) in found["problem"]
            refused = page.ask("PATCH", AT, {"room": "Lain"})
            assert refused.status == 409
            assert "IT" in refused.json["hint"]
            assert page.ask("PUT", KAMPUS, {"url": URL, "key": KEY}).status == 409

    confined(confine, ask)
    assert load_settings(room.settings).general.room == "Aula"
    assert not room.settings.with_name("keys.toml").exists()


def test_only_this_pc_may_change_them(room: Room) -> None:
    told: list[str] = []
    app = make_app(web.house(told, room.settings))
    token = read_token()

    async def ask(client: str, method: str, path: str, body: object = None) -> httpx2.Response:
        transport = httpx2.ASGITransport(app, client=(client, 5))
        async with httpx2.AsyncClient(transport=transport, base_url="http://192.0.2.1:8466") as asking:
            return await asking.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})

    assert asyncio.run(ask("192.0.2.7", "GET", AT)).json()["locked"] == "elsewhere"
    assert asyncio.run(ask("192.0.2.7", "PATCH", AT, {"room": "Lain"})).status_code == 403
    assert asyncio.run(ask("192.0.2.7", "PUT", KAMPUS, {"url": URL, "key": KEY})).status_code == 403
    assert load_settings(room.settings).general.room == "Aula"
    assert asyncio.run(ask("127.0.0.1", "PATCH", AT, {"room": "Lain"})).status_code == 200
    assert load_settings(room.settings).general.room == "Lain"


# Rehearsals


def test_what_a_rehearsal_cannot_be_is_refused(page: Page) -> None:
    for body in ({"for_s": 2}, {"for_s": 61}, {"streams": ["--config=/x"]}, {"streams": ["@/etc/passwd"]}):
        assert page.post("/api/v1/rehearsals", body).status == 400, body
    assert page.get("/api/v1/rehearsals").json == {
        "type": "rehearsal-run", "running": False, "since_s": None, "last": None, "problem": None, "error": None,
    }  # fmt: skip
