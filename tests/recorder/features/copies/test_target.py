"""What can be wrong with a place: each its own reason, told within a bounded time; nothing there looks like a copy."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.sessions.receiver import free_port
from config.errors import CopyError
from config.settings.schema import Settings
from config.settings.secrets import CopyCredentials, Secret
from config.settings.serving import CopyTarget
from recorder.disk.durable import temporary_name
from recorder.features.copies import places, s3
from recorder.features.copies.target import MARK_FILE, STAGING, CopyReason, Target, read_mark, write_mark
from recorder.package.fixity import ByteProgress, Progress, TransferThrottle, walk
from recorder.package.metadata import Package
from tests.support import copies
from tests.support.copies import Place
from tests.support.leftovers import contents
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, Seaweed
from tests.support.servers import RawServer, TlsFront, says
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server


def changed(place: Place, **changes: object) -> Place:
    return replace(place, settings=msgspec.structs.replace(place.settings, **changes))


def why(package: Package, place: Place, progress: Progress | None = None) -> CopyError:
    """Return the error of a copy that cannot be, which says nothing secret."""
    with pytest.raises(CopyError) as caught:
        copies.copy(package, place, progress=progress)
    error = caught.value
    assert error.hint
    assert place.kind in error.message
    for secret in (place.login.private_key, place.login.secret_key, place.login.access_key):
        assert secret is None or secret.reveal() not in f"{error} {error.hint}"
    return error


# A folder


of_files = pytest.mark.parametrize("place", ["folder", "sftp"], indirect=True)
"""A place that is a folder, of this PC or of a server."""


def folder_of(place: Place) -> Path:
    assert place.folder
    return place.folder


@of_files
def test_a_full_disk_holds_no_package_and_gets_the_rest_when_there_is_room(place: Place, large: Package) -> None:
    with copies.small_disk(folder_of(place)) as disk:
        assert why(large, place).reason == CopyReason.FULL
        with place.opened() as target:
            assert places.list_packages(target) == []
        subprocess.run(["mount", "-o", "remount,size=30M", str(disk)], check=True)
        copies.copy(large, place)


def test_a_full_store_says_so(seaweed: Seaweed, package: Package) -> None:
    full = b"<Error><Code>InsufficientStorage</Code></Error>"
    answer = b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: %d\r\n\r\n%s" % (len(full), full)
    with RawServer(says(answer, then_waits=False)) as store:
        place = copies.s3_place(seaweed, "full", f"http://127.0.0.1:{store.port}")
        assert why(package, place).reason == CopyReason.FULL


# Servers


@pytest.mark.parametrize(
    ("url", "key", "reason"),
    [
        ("sftp://liput@gudang.invalid/srv", "login", CopyReason.UNREACHABLE),
        ("{}/tidak-ada", "login", CopyReason.NO_FOLDER),
        ("{}", "other", CopyReason.WRONG_CREDENTIALS),
        ("{}", "known_hosts", CopyReason.WRONG_CREDENTIALS),  # no key at all
    ],
)
def test_a_server_that_cannot_be_used_says_why(
    url: str, key: str, reason: CopyReason, sshd: Sshd, package: Package
) -> None:
    login = CopyCredentials(private_key=Secret((sshd.folder / key).read_text()))
    place = replace(changed(copies.sftp_place(sshd, "a"), url=url.format(sshd.url)), login=login)
    assert why(package, place).reason == reason


@pytest.mark.parametrize(
    ("bucket", "key", "reason"),
    [
        ("tidak-ada", SECRET_KEY, CopyReason.NO_BUCKET),
        (copies.BUCKET, "wrong-key", CopyReason.WRONG_CREDENTIALS),
    ],
)
def test_a_store_that_cannot_be_used_says_why(
    bucket: str, key: str, reason: CopyReason, seaweed: Seaweed, package: Package
) -> None:
    login = CopyCredentials(access_key=Secret(ACCESS_KEY), secret_key=Secret(key))
    place = replace(changed(copies.s3_place(seaweed, "a"), url=f"s3://{bucket}/a"), login=login)
    assert why(package, place).reason == reason


def test_a_store_that_is_not_there_refuses(seaweed: Seaweed, package: Package) -> None:
    place = copies.s3_place(seaweed, "a", f"http://127.0.0.1:{free_port()}")
    assert why(package, place).reason == CopyReason.REFUSED


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd") as server:
        yield server


def test_a_server_that_is_not_there_or_not_known_is_not_talked_to(server: Sshd, package: Package) -> None:
    place = copies.sftp_place(server, "a")
    known = server.known_hosts.read_text()
    server.known_hosts.write_text("")
    assert why(package, place).reason == CopyReason.UNKNOWN_HOST
    server.known_hosts.unlink()
    assert why(package, place).reason == CopyReason.UNKNOWN_HOST
    server.known_hosts.write_text(known)
    server.stop()
    assert why(package, place).reason == CopyReason.REFUSED
    server.change_host_key()
    server.start()
    assert why(package, place).reason == CopyReason.HOST_KEY_CHANGED


@pytest.mark.parametrize(("place", "after"), [("sftp", 3_000_000), ("s3", 0)], indirect=["place"])
def test_a_server_that_hangs_is_given_up_and_gone_on_with(
    place: Place, after: int, large: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PATIENCE", 1)
    server = place.server
    assert server

    def hang(done: int, _total: int) -> None:
        if done > after:
            server.hang()

    if not after:
        server.hang()
    began = time.monotonic()
    try:
        assert why(large, changed(place, stalled_s=2.0), progress=hang).reason == CopyReason.TIMEOUT
    finally:
        server.go_on()
    assert time.monotonic() - began < place.settings.stalled_s
    assert copies.copy(large, place)


def test_a_connection_that_breaks_in_the_middle_of_a_file(server: Sshd, large: Package) -> None:
    place = copies.sftp_place(server, "a")

    def cut(done: int, total: int) -> None:
        if done > 3_000_000:
            server.cut()

    assert why(large, place, progress=cut).reason == CopyReason.CONNECTION_LOST
    assert copies.copy(large, place)


def test_a_certificate_of_nobody_that_is_trusted(seaweed: Seaweed, package: Package, tmp_path: Path) -> None:
    with TlsFront(tmp_path / "tls", seaweed.port, signed=True) as front:
        place = copies.s3_place(seaweed, "tls", f"https://localhost:{front.port}")
        assert why(package, place).reason == CopyReason.CERTIFICATE
        copies.copy(package, changed(place, ca_file=front.authority))


@pytest.mark.parametrize("content", [None, b"bukan sertifikat"])
def test_an_authority_that_is_none(seaweed: Seaweed, package: Package, tmp_path: Path, content: bytes | None) -> None:
    authority = tmp_path / "kampus-ca.pem"
    if content is not None:
        authority.write_bytes(content)
    place = changed(copies.s3_place(seaweed, "ca", "https://localhost:1"), ca_file=authority)
    assert why(package, place).reason == CopyReason.CERTIFICATE


def test_a_library_that_is_not_installed_is_told_of_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recorder.features.copies.s3", None)
    monkeypatch.setattr(places, "copy_credentials", lambda *_: CopyCredentials())
    settings = Settings(copies={"ember": CopyTarget(url="s3://ember/liput", endpoint="http://s3.invalid")})
    with pytest.raises(CopyError, match=r"liput\[s3\]") as caught:
        places.open_target(settings, "ember")
    assert caught.value.reason == CopyReason.NOT_INSTALLED
    assert caught.value.hint.count("Install") == 1


def test_a_place_that_needs_a_login_and_has_none(tmp_path: Path, package: Package) -> None:
    settings = Settings(copies={"gudang": CopyTarget(url="sftp://liput@gudang.invalid/srv")})
    with copies.refused(CopyReason.NO_CREDENTIALS):
        places.open_target(settings, "gudang")


# A large file goes on at the part where it was stopped, at a real store; what is there counts only if it is right.

PATH = "2026/11/rapat/data/media/Rekaman #1 (100%) \u00e9+&.mp4"
PART_BYTES = 5 << 20
"""The smallest part that S3 accepts."""
SIZE = 2 * PART_BYTES + 1_000_000


@pytest.fixture
def bucket(seaweed: Seaweed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(s3, "PART_BYTES", PART_BYTES)
    return copies.s3_place(seaweed, request.node.name)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rekaman.mp4"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def stopped(target: Target, source: Path, after: int) -> int:
    """Send a file until so many bytes have gone; return how many that were."""
    sent: list[int] = []

    def stop(done: int, _total: int) -> None:
        sent.append(done)
        if done > after:
            raise CopyError("enough", reason=CopyReason.SESSION)

    with pytest.raises(CopyError, match="enough"):
        target.write(PATH, source, TransferThrottle(ByteProgress(SIZE, stop)))
    return sent[-1]


def test_a_large_file_goes_on_at_the_part_where_it_was_stopped(bucket: Place, source: Path) -> None:
    with bucket.opened() as target:
        stopped(target, source, 2 * PART_BYTES + 100_000)
        assert target.walk("") == ({}, []), "what is not complete is not there"
    counted: list[int] = []
    with bucket.opened() as target:
        resumed = target.write(PATH, source, TransferThrottle(ByteProgress(SIZE, lambda done, _: counted.append(done))))
        assert resumed == 2 * PART_BYTES
        assert b"".join(target.read(PATH, SIZE)) == source.read_bytes()
    assert counted[-1] == SIZE


def test_a_part_that_is_not_the_same_any_more_is_sent_anew(bucket: Place, source: Path) -> None:
    with bucket.opened() as target:
        stopped(target, source, 2 * PART_BYTES + 100_000)
        copies.flip(source, PART_BYTES + 5)
        assert target.write(PATH, source, TransferThrottle()) == PART_BYTES
        assert b"".join(target.read(PATH, SIZE)) == source.read_bytes()


def test_a_stop_is_heeded_in_the_middle_of_a_part(bucket: Place, source: Path) -> None:
    with bucket.opened() as target:
        assert stopped(target, source, 0) < PART_BYTES / 10


# A place that other users may write to: what they plant there is not written into, and never becomes a copy.

ANOTHER = 54321
MEDIA = "data/media/program.mp4"
MEDIA_PART, TAG_PART = f"data/media/{temporary_name('program.mp4')}", temporary_name("bagit.txt")


@pytest.fixture
def shared(nas: Place) -> Place:
    folder_of(nas).chmod(0o777)
    return nas


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of files that nobody else may write."""
    if os.geteuid() != 0:
        pytest.skip("gives files to another user")
    victim = tmp_path / "victim"
    for name in (MEDIA, MEDIA_PART, "bagit.txt", TAG_PART, MARK_FILE):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_bytes(b"secret")
        (victim / name).chmod(0o600)
    return victim


def plant(path: Path, leads_to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(leads_to)
    os.chown(path, ANOTHER, ANOTHER, follow_symlinks=False)


def planted_at(place: Place, package: Package) -> Path:
    """Return where an attempt that was stopped may have left something: a name of which all but a part is known."""
    return folder_of(place) / STAGING / f".{package.id}.{package.uuid}.copy"


@of_files
def test_a_link_in_the_place_of_what_is_being_copied(place: Place, package: Package, victim: Path) -> None:
    plant(planted_at(place, package), victim)
    before = contents(victim)
    copied, _ = copies.copy(package, place)
    assert contents(victim) == before
    there = folder_of(place) / copies.place_of(package)
    assert (there.is_dir(), there.is_symlink(), copied.size > 0) == (True, False, True)
    assert contents(there) == contents(package.folder)


@pytest.mark.parametrize(("place", "inner"), [("folder", MEDIA_PART), ("sftp", MEDIA)], indirect=["place"])
def test_a_folder_of_another_user_in_its_place(place: Place, package: Package, victim: Path, inner: str) -> None:
    folder = planted_at(place, package)
    plant(folder / inner, victim / inner)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, ANOTHER, ANOTHER, follow_symlinks=False)
    before = contents(victim)
    copies.copy(package, place)
    assert contents(victim) == before
    there = folder_of(place) / copies.place_of(package)
    assert (there.stat().st_uid, contents(there)) == (0, contents(package.folder))


@pytest.mark.parametrize(
    ("place", "inner"), [("folder", TAG_PART), ("folder", "data"), ("sftp", MEDIA_PART)], indirect=["place"]
)
def test_a_link_in_a_stopped_attempt_is_refused(place: Place, package: Package, victim: Path, inner: str) -> None:
    """In a folder of this user's own, as one may be that an older Liput has made for all to write."""
    plant(planted_at(place, package) / inner, victim / inner)
    before = contents(victim)
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(package, place)
    assert contents(victim) == before


def test_a_second_name_of_a_file_is_not_gone_on_with(shared: Place, package: Package, victim: Path) -> None:
    part = planted_at(shared, package) / TAG_PART
    part.parent.mkdir(parents=True)
    part.hardlink_to(victim / "bagit.txt")
    copies.copy(package, shared)
    assert (victim / "bagit.txt").read_bytes() == b"secret"


@pytest.mark.parametrize("name", [".incoming", "2026/11"])
def test_a_link_as_a_folder_is_refused(shared: Place, package: Package, victim: Path, name: str) -> None:
    plant(folder_of(shared) / name, victim)
    before = walk(victim)
    with pytest.raises(CopyError):
        copies.copy(package, shared)
    assert walk(victim) == before


@of_files
def test_the_number_of_a_place_is_not_written_where_a_link_leads(place: Place, victim: Path) -> None:
    plant(folder_of(place) / temporary_name(MARK_FILE), victim / MARK_FILE)
    with place.opened() as target:
        mark = write_mark(target)
        assert read_mark(target) == mark
    assert (victim / MARK_FILE).read_bytes() == b"secret"
