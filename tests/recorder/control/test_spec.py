"""What a recorder is asked to be comes through the pipe whole, and onto the disk without addresses."""

import os
from pathlib import Path

import msgspec
import pytest

from config.errors import UsageError
from config.settings.secrets import Secret, StreamTarget
from recorder.control.spec import PASSED_VARIABLES, RecorderSpec, decode_spec, encode_spec, encode_spec_for_disk
from recorder.session.request import SessionRequest

KEY = "kunci-9f27-rahasia"
ODD = Path(os.fsdecode(b"/srv/arsip-\xff"))
ASKED = SessionRequest(
    title="Rapat senat",
    videos=(str(ODD / "film.mkv"),),
    audios=("none",),
    duration_s=5400.0,
    streams=["youtube", "@/srv/alamat"],
    targets=[
        StreamTarget("stdin", Secret(f"rtmps://h/app/{KEY}")),
        StreamTarget("x", Secret("rtmp://h/a/b"), Path("/ca")),
    ],
    archive=ODD,
    reserve=5,
)
SPEC = RecorderSpec(asked=ASKED, settings=Path("/etc/liput.toml"), folder=ODD, arm_only=True)


def test_it_comes_through_the_pipe_as_it_is() -> None:
    assert decode_spec(encode_spec(SPEC)) == SPEC
    assert decode_spec(encode_spec(RecorderSpec(asked=SessionRequest(title="x")))) == RecorderSpec(
        asked=SessionRequest(title="x", streams=[], targets=[])
    )


def test_an_address_that_comes_through_hides_its_key() -> None:
    target, _ = decode_spec(encode_spec(SPEC)).asked.targets
    assert target.url.redact(f"cannot open {KEY}") == "cannot open (hidden)"
    assert KEY not in repr(decode_spec(encode_spec(SPEC)))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PASSED_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_by_what_screens_sound_and_keys_are_found_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    found_by = {"DISPLAY": ":7", "CREDENTIALS_DIRECTORY": "/run/credentials/liput.service"}
    for name, value in found_by.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRET", KEY)
    assert decode_spec(encode_spec_for_disk(SPEC)).environment == found_by


def test_what_is_saved_holds_no_address_and_says_which_destinations_are_lost() -> None:
    saved = encode_spec_for_disk(SPEC)
    assert KEY.encode() not in saved
    assert b"rtmp" not in saved
    asked = msgspec.structs.replace(ASKED, targets=[])
    assert decode_spec(saved) == msgspec.structs.replace(SPEC, asked=asked, unsaved=("stdin", "x"), environment={})
    assert decode_spec(encode_spec_for_disk(decode_spec(saved))) == decode_spec(saved)


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"[]", b"{}", b'{"asked": {"title": 5}}', b'{"asked": {"title": "x", "archive": 5}}', b"[" * 100_000,
     b'{"asked": {"title": "x", "targets": [{"name": "x", "url": ["' + KEY.encode() + b'"]}]}}'],
)  # fmt: skip
def test_anything_else_is_refused_in_a_line_that_repeats_none_of_it(text: bytes) -> None:
    with pytest.raises(UsageError, match="no specification") as refused:
        decode_spec(text)
    assert KEY not in refused.value.message
    assert "\n" not in refused.value.message
