"""The archive, the requests and the health log by the API: what is there, and nothing that is not listed."""

import json
from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives, command
from tests.support.room import Room
from tests.support.web import Answer, Page

pytestmark = pytest.mark.server


@pytest.fixture
def package(room: Room, program: Path) -> Package:
    archive = Archive(room.archive, SystemClock(), 1)
    archives.seal_one(archive, program, "Wisuda")
    return archives.seal_one(archive, program, "Rapat Senat")


def files(page: Page, package: Package, path: str, **headers: str) -> Answer:
    return page.get(f"/api/v1/archive/{package.id}/files/{path}", **headers)


def test_what_is_searched_for_is_found(page: Page, package: Package) -> None:
    found = page.get("/api/v1/archive?q=senat").json
    assert [one["id"] for one in found["packages"]] == [package.id]
    assert found["more"] is False
    first = page.get("/api/v1/archive?limit=1").json
    second = page.get("/api/v1/archive?limit=1&offset=1").json
    assert (len(first["packages"]), first["more"], second["more"]) == (1, True, False)
    assert {first["packages"][0]["title"], second["packages"][0]["title"]} == {"Rapat Senat", "Wisuda"}
    assert page.get("/api/v1/archive?since=2027-01-01").json["packages"] == []
    for wrong in ("since=one+day", "limit=0", "limit=1&limit=2", "nowhere=1"):
        assert page.get(f"/api/v1/archive?{wrong}").status == 400, wrong


def test_a_package_is_shown_and_verified(page: Page, package: Package) -> None:
    shown = page.get(f"/api/v1/archive/{package.id}").json
    assert (shown["title"], shown["recording"]["frames"]) == ("Rapat Senat", archives.FRAMES)
    assert page.get(f"/api/v1/archive/{package.uuid[:8]}").json["id"] == package.id
    assert page.post(f"/api/v1/archive/{package.id}/verify", {"decode": True}).json == {
        "id": package.id, "ok": True, "problems": [], "decoded": True, "elsewhere": False, "ours": True,
    }  # fmt: skip
    (package.folder / "bagit.txt").write_text("changed")
    verdict = page.post(f"/api/v1/archive/{package.id}/verify").json
    assert (verdict["ok"], verdict["problems"][0]["file"]) == (False, "bagit.txt")
    for key in ("nowhere", "..", "%2e%2e", "a%00b", "%2Fetc", "~", "a" * 300):
        assert page.get(f"/api/v1/archive/{key}").status == 404, key


def test_a_description_is_corrected_and_what_was_there_is_kept(page: Page, package: Package) -> None:
    at = f"/api/v1/archive/{package.id}"
    fields = {"title": "Rapat Senat Terbuka", "consent.state": "given", "records.classification": "HM.01"}
    shown = page.ask("PATCH", at, {"fields": fields, "reason": "salah ketik"}).json
    assert (shown["title"], shown["recording"]["consent"]["state"]) == ("Rapat Senat Terbuka", "given")
    assert page.post(f"{at}/verify").json["ok"]
    assert "Rapat Senat" in (package.folder / "metadata/premis.jsonl").read_text().splitlines()[-1]
    for wrong in ({"frames": "1"}, {"title": " "}, {"consent.state": "maybe"}, {"request.letter_date": "kemarin"}):
        assert page.ask("PATCH", at, {"fields": wrong}).status in {400, 409}, wrong
    assert page.get(at).json == shown


def test_a_film_is_played_and_sought_in_and_nothing_is_run_by_a_browser(page: Page, package: Package) -> None:
    path = "data/media/program.mp4"
    content = (package.folder / path).read_bytes()
    size = len(content)
    whole = files(page, package, f"{path}?save=true")
    assert (whole.status, whole.body) == (200, content)
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("video/mp4", "bytes")
    assert whole.headers["content-disposition"] == f'attachment; filename="{package.id}.mp4"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in whole.headers["content-security-policy"]
    spans = {"0-99": (0, 100), "100-": (100, size), "-50": (size - 50, size), f"5-{size + 9}": (5, size)}
    for asked, (start, end) in spans.items():
        part = files(page, package, path, Range=f"bytes={asked}")
        assert (part.status, part.body) == (206, content[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert files(page, package, path, Range=f"bytes={size}-").status == 416
    for odd in ("bytes=0-1,5-9", "bytes=", "bytes=a-b", "lines=1-2", "bytes=9-1" + "0" * 40):
        answer = files(page, package, path, Range=odd)
        assert (answer.status, answer.body) == (200, content), odd
    head = page.ask("HEAD", f"/api/v1/archive/{package.id}/files/{path}")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(size), b"")


def test_only_what_a_manifest_lists_is_there_and_no_link_is_followed(page: Page, package: Package) -> None:
    (package.folder / "data/secret.txt").write_text("not listed")
    (package.folder / "data/link.txt").symlink_to("/etc/passwd")
    listed = package.folder / "metadata/recording.json"
    listed.rename(package.folder.parent / "outside.json")
    listed.symlink_to(package.folder.parent / "outside.json")
    manifest = package.folder / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text() + f"{'0' * 64}  ../../../outside\n{'0' * 64}  /etc/passwd\n")
    paths = (
        "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "..%2F..%2F..%2Foutside", "data",
        "data/", "", "data/media/../media/program.mp4", "data//media/program.mp4", "./bagit.txt",
        "data/media/program.mp4%00", "DATA/media/program.mp4", "data/secret.txt", "data/link.txt", "%ff%fe",
        "metadata/recording.json",
    )  # fmt: skip
    for path in paths:
        assert files(page, package, path).status == 404, path
        raw = f"/api/v1/archive/{package.id}/files/{path}"
        assert page.status_of("GET", raw, f"Host: {page.host}", f"Authorization: Bearer {page.token}") == 404, path


def test_requests_are_listed_and_shown(page: Page, room: Room) -> None:
    assert page.get("/api/v1/requests").json == {"type": "requests", "requests": [], "unreadable": []}
    made = json.loads(command.liput(room.home, "request", "new", "--event", "Wisuda", "--json").stdout)
    room.configure(f'[general]\nroom = "Aula"\n\n[request]\npath = "{Path(made["folder"]).parent}"\n')
    assert [one["id"] for one in page.get("/api/v1/requests").json["requests"]] == [made["id"]]
    assert page.get(f"/api/v1/requests/{made['id']}").json["request"]["event"] == "Wisuda"
    for key in ("nowhere", "..%2f.."):
        assert page.get(f"/api/v1/requests/{key}").status == 404


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
