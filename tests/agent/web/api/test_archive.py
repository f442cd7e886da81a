"""The archive, the requests and the health log by the API: what is there, and nothing that is not listed."""

import hashlib
import json
from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives, command
from tests.support.room import Room
from tests.support.web import Page

pytestmark = pytest.mark.server


@pytest.fixture
def package(room: Room, program: Path) -> Package:
    archive = Archive(room.archive, SystemClock(), 1)
    archives.seal_one(archive, program, "Wisuda")
    return archives.seal_one(archive, program, "Rapat Senat")


def files(page: Page, package: Package, path: str, **headers: str) -> tuple[int, bytes]:
    answer = page.get(f"/api/v1/archive/{package.id}/files/{path}", **headers)
    return answer.status, answer.body


def test_what_is_searched_for_is_found(page: Page, package: Package) -> None:
    found = page.get("/api/v1/archive?q=senat").json
    assert [one["id"] for one in found["packages"]] == [package.id]
    assert found["more"] is False
    first = page.get("/api/v1/archive?limit=1").json
    assert (len(first["packages"]), first["more"]) == (1, True)
    second = page.get("/api/v1/archive?limit=1&offset=1").json
    assert second["more"] is False
    assert {first["packages"][0]["title"], second["packages"][0]["title"]} == {"Rapat Senat", "Wisuda"}
    assert page.get("/api/v1/archive?since=2027-01-01").json["packages"] == []
    assert page.get("/api/v1/archive?room=aula&until=2026-12-31").json["packages"] != []
    assert page.get("/api/v1/archive?since=one+day").status == 400
    assert page.get("/api/v1/archive?limit=0").status == 400
    assert page.get("/api/v1/archive?limit=1&limit=2").status == 400
    assert page.get("/api/v1/archive?nowhere=1").status == 400


def test_a_package_is_shown_and_verified(page: Page, package: Package) -> None:
    shown = page.get(f"/api/v1/archive/{package.id}").json
    assert (shown["title"], shown["recording"]["frames"]) == ("Rapat Senat", archives.FRAMES)
    assert page.get(f"/api/v1/archive/{package.uuid[:8]}").json["id"] == package.id
    assert page.post(f"/api/v1/archive/{package.id}/verify", {"decode": True}).json == {
        "id": package.id, "ok": True, "problems": [], "decoded": True, "elsewhere": False, "ours": True,
    }  # fmt: skip
    (package.folder / "bagit.txt").write_text("changed")
    verdict = page.post(f"/api/v1/archive/{package.id}/verify").json
    assert verdict["ok"] is False
    assert verdict["problems"][0]["file"] == "bagit.txt"
    for key in ("nowhere", "..", "%2e%2e", "a%00b", "%2Fetc", "~", "a" * 300):
        assert page.get(f"/api/v1/archive/{key}").status == 404, key


def test_a_film_is_played_and_sought_in(page: Page, package: Package) -> None:
    path = "data/media/program.mp4"
    content = (package.folder / path).read_bytes()
    whole = page.get(f"/api/v1/archive/{package.id}/files/{path}")
    assert (whole.status, whole.headers["content-type"]) == (200, "video/mp4")
    assert hashlib.sha256(whole.body).digest() == hashlib.sha256(content).digest()
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(content)
    spans = {
        "bytes=0-99": (0, 100),
        "bytes=100-": (100, size),
        "bytes=-50": (size - 50, size),
        f"bytes=5-{size + 9}": (5, size),
    }
    for asked, (start, end) in spans.items():
        part = page.get(f"/api/v1/archive/{package.id}/files/{path}", Range=asked)
        assert part.status == 206
        assert part.body == content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert files(page, package, path, Range=f"bytes={size}-")[0] == 416
    for odd in ("bytes=0-1,5-9", "bytes=", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=9-1" + "0" * 40):
        assert files(page, package, path, Range=odd) == (200, content), odd
    head = page.ask("HEAD", f"/api/v1/archive/{package.id}/files/{path}")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(size), b"")


def test_nothing_of_a_package_is_run_by_a_browser(page: Page, package: Package) -> None:
    answer = page.get(f"/api/v1/archive/{package.id}/files/metadata/recording.json")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    plain = page.get(f"/api/v1/archive/{package.id}/files/data/media/program.mp4?save=true")
    assert plain.headers["content-disposition"] == 'attachment; filename="program.mp4"'


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/bagit.txt", "/etc/passwd", "data",
        "data/", "data/media", "", "data/media/../media/program.mp4", "data//media/program.mp4", "./bagit.txt",
        "data/media/program.mp4%00", "DATA/media/program.mp4", "data/secret.txt", "data/link.txt", "data\\media",
        "%ff%fe", "....//bagit.txt",
    ],
)  # fmt: skip
def test_only_what_a_manifest_lists_is_there(page: Page, package: Package, path: str) -> None:
    (package.folder / "data/secret.txt").write_text("not listed")
    (package.folder / "data/link.txt").symlink_to("/etc/passwd")
    assert files(page, package, path)[0] == 404
    raw = f"/api/v1/archive/{package.id}/files/{path}".replace(" ", "%20")
    assert page.status_of("GET", raw, f"Host: {page.host}", f"Authorization: Bearer {page.token}") == 404


def test_a_listed_file_that_became_a_link_is_not_followed(page: Page, package: Package) -> None:
    path = package.folder / "metadata/recording.json"
    there = json.loads(path.read_text())
    (package.folder.parent / "outside.json").write_text(json.dumps(there))
    path.unlink()
    path.symlink_to(package.folder.parent / "outside.json")
    assert files(page, package, "metadata/recording.json")[0] == 404


def test_a_manifest_that_names_what_is_outside_opens_nothing(page: Page, package: Package) -> None:
    manifest = package.folder / "manifest-sha256.txt"
    evil = "0" * 64
    manifest.write_text(manifest.read_text() + f"{evil}  ../../../outside\n{evil}  /etc/passwd\n")
    for path in ("../../../outside", "/etc/passwd"):
        assert files(page, package, quote(path, safe=""))[0] == 404


def test_requests_are_listed_and_shown(page: Page, room: Room) -> None:
    assert page.get("/api/v1/requests").json == {"type": "requests", "requests": [], "unreadable": []}
    made = command.liput(room.home, "request", "new", "--event", "Wisuda", "--json")
    assert made.returncode == 0, made.stderr
    identity = json.loads(made.stdout)["id"]
    folder = json.loads(made.stdout)["folder"]
    found = _requests_in(room, page, folder)
    assert [one["id"] for one in found] == [identity]


def _requests_in(room: Room, page: Page, folder: str) -> list[dict[str, object]]:
    """Return the requests, once the page looks where the command has put it."""
    room.configure(f'[general]\nroom = "Aula"\n\n[request]\npath = "{Path(folder).parent}"\n')
    found: list[dict[str, object]] = page.get("/api/v1/requests").json["requests"]
    shown = page.get(f"/api/v1/requests/{Path(folder).name}").json
    assert shown["request"]["event"] == "Wisuda"
    assert page.get("/api/v1/requests/nowhere").status == 404
    assert page.get("/api/v1/requests/..%2f..").status == 404
    return found


def test_what_happened_is_told_and_is_a_table(page: Page) -> None:
    with HealthLog(clock=SystemClock()) as log:
        log("046d:0825:A", LogKind.PLUGGED, '=cmd|"x"', name="Kamera podium")
        log("046d:0825:B", LogKind.PLUGGED, name="Kamera ruang")
    told = page.get("/api/v1/health").json
    assert [line["device"] for line in told["lines"]] == ["046d:0825:A", "046d:0825:B"]
    assert page.get("/api/v1/health?device=podium").json["lines"][0]["name"] == "Kamera podium"
    assert page.get("/api/v1/health?limit=1").json["more"] is True
    assert page.get("/api/v1/health?level=error").json["lines"] == []
    assert page.get("/api/v1/health?device=nowhere").status == 404
    assert page.get("/api/v1/health?level=loud").status == 400
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    assert page.get(f"/api/v1/health?since={tomorrow}").json["lines"] == []
    table = page.get("/api/v1/health.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.body.startswith(BOM_UTF8), "Excel would take it for something else"
    assert table.body.decode("utf-8-sig").splitlines()[0] == "at,device,name,level,kind,reason,detail"
    assert "'=cmd" in table.body.decode(), "no spreadsheet takes it for a formula"


def test_how_devices_did_is_told_in_steps(page: Page) -> None:
    with HealthLog(clock=SystemClock()) as log:
        log("046d:0825:A", LogKind.SAMPLE, name="Kamera podium", level=LogLevel.DEBUG, fps=29.9, missing=4, damaged=1)
        log("046d:0825:A", LogKind.DEGRADED, name="Kamera podium", level=LogLevel.WARN, fault="slow")
        log("046d:0825:B", LogKind.PLUGGED, name="Kamera ruang")
    told = page.get("/api/v1/health/timeline?since=2h").json
    (camera,) = told["devices"]
    assert (camera["name"], len(camera["fps"])) == ("Kamera podium", 120)
    assert (camera["fps"][-1], camera["lost"][-1], camera["faults"][-1]) == (29.9, 5, 1)
    assert (set(camera["fps"][:-1]), sum(camera["lost"]), sum(camera["faults"])) == ({None}, 5, 1)
    assert len(page.get("/api/v1/health/timeline?since=10m&device=podium").json["devices"][0]["fps"]) == 10
    assert page.get("/api/v1/health/timeline?device=nowhere").status == 404
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    assert page.get(f"/api/v1/health/timeline?since={tomorrow}").status == 400
    assert page.get("/api/v1/health/timeline?level=info").status == 400
