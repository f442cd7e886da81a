"""What can be wrong with a place: each its own reason, told within a bounded time; nothing there looks like a copy."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.sessions.receiver import free_port
from config.errors import CopyError
from config.settings.schema import Settings
from config.settings.secrets import CopyCredentials, Secret
from config.settings.serving import CopyTarget
from recorder.features.copies import places, s3
from recorder.features.copies.target import CopyReason
from recorder.package.fixity import Progress
from recorder.package.metadata import Package
from tests.support import copies
from tests.support.copies import Place
from tests.support.s3 import ACCESS_KEY, S3Proxy, Seaweed
from tests.support.servers import TlsFront
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server

BOUND_S = 15.0


def changed(place: Place, **changes: object) -> Place:
    settings = msgspec.structs.replace(place.settings, **changes)
    return Place(place.kind, settings, place.login, place.folder, place.server)


def why(package: Package, place: Place, progress: Progress | None = None) -> CopyError:
    """Return the error of a copy that cannot be, once it is clear that nothing there looks like one."""
    began = time.monotonic()
    with pytest.raises(CopyError) as caught:
        copies.copy(package, place, progress=progress)
    assert time.monotonic() - began < BOUND_S
    error = caught.value
    assert error.hint
    assert place.kind in error.message
    for secret in (place.login.private_key, place.login.secret_key, place.login.access_key):
        assert secret is None or secret.reveal() not in f"{error} {error.hint}"
    return error


# A folder


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, package: Package) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    (tmp_path / "tujuan").rmdir()
    assert why(package, place).reason == CopyReason.NO_FOLDER
    assert not (tmp_path / "tujuan").exists()


def test_a_share_that_was_mounted_and_is_not_is_missed(tmp_path: Path, package: Package) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    with copies.small_disk(tmp_path / "tujuan"):
        copies.copy(package, place)
    assert why(package, place).reason == CopyReason.NOT_MOUNTED
    assert list((tmp_path / "tujuan").iterdir()) == []


def test_a_full_folder_holds_no_package_and_gets_the_rest_when_there_is_room(tmp_path: Path, large: Package) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    with copies.small_disk(tmp_path / "tujuan") as disk:
        assert why(large, place).reason == CopyReason.FULL
        with place.opened() as target:
            assert places.list_packages(target) == []
        subprocess.run(["mount", "-o", "remount,size=30M", str(disk)], check=True)
        copies.copy(large, place)


# SFTP


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd") as server:
        yield server


def test_a_server_that_is_not_there_refuses(server: Sshd, package: Package) -> None:
    place = copies.sftp_place(server, "a")
    server.stop()
    assert why(package, place).reason == CopyReason.REFUSED


def test_a_server_of_no_such_name_is_out_of_reach(server: Sshd, package: Package) -> None:
    place = changed(copies.sftp_place(server, "a"), url="sftp://liput@gudang.invalid/srv")
    assert why(package, place).reason == CopyReason.UNREACHABLE


def test_a_server_whose_key_is_not_known_is_not_talked_to(server: Sshd, package: Package) -> None:
    place = copies.sftp_place(server, "a")
    server.known_hosts.write_text("")
    assert why(package, place).reason == CopyReason.UNKNOWN_HOST
    server.known_hosts.unlink()
    assert why(package, place).reason == CopyReason.UNKNOWN_HOST


def test_a_server_with_another_key_is_not_talked_to(server: Sshd, package: Package) -> None:
    place = copies.sftp_place(server, "a")
    server.stop()
    server.change_host_key()
    server.start()
    assert why(package, place).reason == CopyReason.HOST_KEY_CHANGED


def test_a_login_that_is_wrong(sshd: Sshd, package: Package) -> None:
    place = copies.sftp_place(sshd, "wrong-login")
    for login in (
        CopyCredentials(private_key=Secret(sshd.other_key.read_text())),
        CopyCredentials(password=Secret("kata-sandi-salah")),
        CopyCredentials(private_key=Secret("no key at all")),
    ):
        wrong = Place(place.kind, place.settings, login, place.folder, place.server)
        assert why(package, wrong).reason == CopyReason.WRONG_CREDENTIALS


def test_a_folder_of_a_server_that_is_not_there(sshd: Sshd, package: Package) -> None:
    place = changed(copies.sftp_place(sshd, "a"), url=f"{sshd.url}/tidak-ada")
    assert why(package, place).reason == CopyReason.NO_FOLDER


def test_a_full_server_holds_no_package_and_gets_the_rest_when_there_is_room(sshd: Sshd, large: Package) -> None:
    place = copies.sftp_place(sshd, "full")
    assert place.folder
    with copies.small_disk(place.folder) as disk:
        assert why(large, place).reason == CopyReason.FULL
        with place.opened() as target:
            assert places.list_packages(target) == []
        subprocess.run(["mount", "-o", "remount,size=30M", str(disk)], check=True)
        copies.copy(large, place)


def test_a_server_that_hangs_is_given_up(server: Sshd, package: Package) -> None:
    place = copies.sftp_place(server, "a")
    server.hang()
    try:
        assert why(package, place).reason == CopyReason.TIMEOUT
    finally:
        server.go_on()


def test_a_server_that_hangs_in_the_middle_of_a_file_is_given_up(server: Sshd, large: Package) -> None:
    place = changed(copies.sftp_place(server, "a"), stalled_s=1.0)

    def hang(done: int, total: int) -> None:
        if done > 3_000_000:
            server.hang()

    try:
        assert why(large, place, progress=hang).reason == CopyReason.TIMEOUT
    finally:
        server.go_on()
    assert copies.copy(large, place)


def test_a_connection_that_breaks_in_the_middle_of_a_file(server: Sshd, large: Package) -> None:
    place = copies.sftp_place(server, "a")

    def cut(done: int, total: int) -> None:
        if done > 3_000_000:
            server.cut()

    assert why(large, place, progress=cut).reason == CopyReason.CONNECTION_LOST
    assert copies.copy(large, place)


# S3


def test_a_store_that_is_not_there_refuses(seaweed: Seaweed, package: Package) -> None:
    place = copies.s3_place(seaweed, "a", f"http://127.0.0.1:{free_port()}")
    assert why(package, place).reason == CopyReason.REFUSED


def test_a_store_of_no_such_name_is_out_of_reach(seaweed: Seaweed, package: Package) -> None:
    assert why(package, copies.s3_place(seaweed, "a", "http://s3.invalid")).reason == CopyReason.UNREACHABLE


@pytest.mark.parametrize(("access", "secret"), [(ACCESS_KEY, "wrong-secret-key"), ("nobody", "wrong-secret-key")])
def test_keys_that_are_wrong(seaweed: Seaweed, package: Package, access: str, secret: str) -> None:
    place = copies.s3_place(seaweed, "a")
    login = CopyCredentials(access_key=Secret(access), secret_key=Secret(secret))
    assert why(package, Place("s3", place.settings, login)).reason == CopyReason.WRONG_CREDENTIALS


def test_a_bucket_that_is_not_there(seaweed: Seaweed, package: Package) -> None:
    place = changed(copies.s3_place(seaweed, "a"), url="s3://tidak-ada/a")
    assert why(package, place).reason == CopyReason.NO_BUCKET


def test_a_full_store_holds_no_package_and_gets_the_rest_when_there_is_room(seaweed: Seaweed, large: Package) -> None:
    with S3Proxy(seaweed.endpoint) as proxy:
        place = copies.s3_place(seaweed, "full", proxy.endpoint)

        def fill(done: int, total: int) -> None:
            proxy.full = done > 3_000_000

        assert why(large, place, progress=fill).reason == CopyReason.FULL
        with place.opened() as target:
            assert places.list_packages(target) == []
        proxy.full = False
        copies.copy(large, place)


def test_a_bit_that_flips_on_the_way_from_a_store_is_not_counted(seaweed: Seaweed, large: Package) -> None:
    with S3Proxy(seaweed.endpoint) as proxy:
        proxy.flips = True
        place = copies.s3_place(seaweed, "flips", proxy.endpoint)
        assert why(large, place).reason == CopyReason.DAMAGED_ON_THE_WAY
        with place.opened() as target:
            assert all(found.state == "unfinished" for found in places.list_packages(target))


def test_a_store_that_hangs_is_given_up(tmp_path: Path, seaweed: Seaweed, package: Package) -> None:
    place = changed(copies.s3_place(seaweed, "a"), stalled_s=1.0)
    seaweed.hang()
    try:
        assert why(package, place).reason == CopyReason.TIMEOUT
    finally:
        seaweed.go_on()


def test_a_store_that_hangs_in_the_middle_of_a_file_is_given_up(
    seaweed: Seaweed, large: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PATIENCE", 1)
    place = changed(copies.s3_place(seaweed, "hangs"), stalled_s=1.0)

    def hang(done: int, total: int) -> None:
        if done > 3_000_000:
            seaweed.hang()

    try:
        assert why(large, place, progress=hang).reason == CopyReason.TIMEOUT
    finally:
        seaweed.go_on()
    assert copies.copy(large, place)


def test_a_certificate_of_nobody_that_is_trusted(seaweed: Seaweed, package: Package, tmp_path: Path) -> None:
    front = TlsFront(tmp_path / "tls", seaweed.port, signed=True)
    try:
        place = copies.s3_place(seaweed, "tls", f"https://localhost:{front.port}")
        assert why(package, place).reason == CopyReason.CERTIFICATE
        copies.copy(package, changed(place, ca_file=front.authority))
    finally:
        front.stop()


@pytest.mark.parametrize("content", [None, b"", b"bukan sertifikat"])
def test_a_certificate_authority_that_cannot_be_read(
    seaweed: Seaweed, package: Package, tmp_path: Path, content: bytes | None
) -> None:
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
    with pytest.raises(CopyError) as caught:
        places.open_target(settings, "gudang")
    assert caught.value.reason == CopyReason.NO_CREDENTIALS
