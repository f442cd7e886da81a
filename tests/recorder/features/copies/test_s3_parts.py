"""A large file goes on at the part where it was stopped, at a real store; what is there counts only if it is right."""

import random
from pathlib import Path

import pytest

from config.errors import CopyError
from config.settings.secrets import CopyCredentials, Secret
from config.settings.serving import CopyTarget
from recorder.features.copies.s3 import PART_BYTES, MultipartUploader
from recorder.features.copies.target import CopyReason, Target
from recorder.package.fixity import ByteProgress, TransferThrottle
from tests.support import copies
from tests.support.copies import Place
from tests.support.s3 import S3Proxy, Seaweed

pytestmark = pytest.mark.server
PATH = "2026/11/rapat/data/media/Rekaman #1 (100%) \u00e9+&.mp4"
SIZE = 2 * PART_BYTES + 1_000_000


@pytest.fixture
def place(seaweed: Seaweed, request: pytest.FixtureRequest) -> Place:
    return copies.s3_place(seaweed, f"parts-{request.node.name[:40]}".replace("[", "-").replace("]", ""))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rekaman.mp4"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def stopped(target: Target, source: Path, after: int) -> None:
    """Send a file until so many bytes have gone."""

    def stop(done: int, _total: int) -> None:
        if done > after:
            raise CopyError("enough", reason=CopyReason.SESSION)

    with pytest.raises(CopyError, match="enough"):
        target.write(PATH, source, TransferThrottle(ByteProgress(SIZE, stop)))


def content(target: Target) -> bytes:
    return b"".join(target.read(PATH, SIZE))


def test_a_large_file_goes_on_at_the_part_where_it_was_stopped(place: Place, source: Path) -> None:
    with place.opened() as target:
        stopped(target, source, 2 * PART_BYTES + 100_000)
        assert target.walk("") == ({}, []), "what is not complete is not there"
    counted: list[int] = []
    with place.opened() as target:
        resumed = target.write(PATH, source, TransferThrottle(ByteProgress(SIZE, lambda done, _: counted.append(done))))
        assert resumed == 2 * PART_BYTES
        assert content(target) == source.read_bytes()
    assert counted[-1] == SIZE


def test_a_part_that_is_not_the_same_any_more_is_sent_anew(place: Place, source: Path) -> None:
    with place.opened() as target:
        stopped(target, source, 2 * PART_BYTES + 100_000)
        copies.flip(source, PART_BYTES + 5)
        assert target.write(PATH, source, TransferThrottle()) == PART_BYTES
        assert content(target) == source.read_bytes()


def test_from_the_start_uses_nothing_that_is_there(place: Place, source: Path) -> None:
    with place.opened() as target:
        stopped(target, source, 2 * PART_BYTES + 100_000)
        assert target.write(PATH, source, TransferThrottle(), from_start=True) == 0
        assert content(target) == source.read_bytes()


def test_a_store_that_lists_no_uploads_gets_all_of_it(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login may be allowed to write and not to list."""
    really = MultipartUploader._request

    def refusing(self: MultipartUploader, method: str, *args: object) -> object:
        if method == "GET":
            raise OSError("403 Forbidden, <Code>AccessDenied")
        return really(self, method, *args)  # type: ignore[arg-type]

    with place.opened() as target:
        stopped(target, source, PART_BYTES + 100_000)
        monkeypatch.setattr(MultipartUploader, "_request", refusing)
        assert target.write(PATH, source, TransferThrottle()) == 0
        assert content(target) == source.read_bytes()


def test_a_stop_is_heeded_in_the_middle_of_a_part(place: Place, source: Path) -> None:
    asked: list[int] = []

    def stop(done: int, _total: int) -> None:
        asked.append(done)
        raise CopyError("enough", reason=CopyReason.SESSION)

    with place.opened() as target, pytest.raises(CopyError, match="enough"):
        target.write(PATH, source, TransferThrottle(ByteProgress(SIZE, stop)))
    assert asked[0] < PART_BYTES / 10


def test_what_a_store_says_of_a_part_has_its_reason_and_nothing_secret(seaweed: Seaweed, source: Path) -> None:
    with S3Proxy(seaweed.endpoint) as proxy:
        place = copies.s3_place(seaweed, "parts-full", proxy.endpoint)
        with place.opened() as target:
            proxy.full = True
            with pytest.raises(CopyError) as caught:
                target.write(PATH, source, TransferThrottle())
    assert caught.value.reason == CopyReason.FULL
    assert caught.value.message.endswith("(507 Insufficient Storage, InsufficientStorage)")


def test_a_signature_is_that_of_the_published_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signature Version 4 of GET ?lifecycle, as Amazon's documentation of S3 works it out."""
    monkeypatch.setattr("time.strftime", lambda *_: "20130524T000000Z")
    login = CopyCredentials(
        access_key=Secret("AKIAIOSFODNN7EXAMPLE"), secret_key=Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    )
    settings = CopyTarget(url="s3://examplebucket", endpoint="https://examplebucket.s3.amazonaws.com")
    headers = MultipartUploader(settings, login)._signed("GET", "/", "lifecycle=", b"")
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )
