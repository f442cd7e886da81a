"""The contract of a kind of live destination, held to every scheme of addresses."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.kinds.internet import CODES
from config.errors import UsageError
from config.settings.addresses import SCHEMES, check_stream_url
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from devices.uplink.connecting import Deadline
from recorder.live import kinds
from recorder.live.kind import LiveUrl, kind_of
from recorder.live.stream_test import run_stream_test
from recorder.live.url import REDACTED, FolderUrl, RtmpUrl, SrtUrl, parse_live_url, redact
from tests.support.receivers import RECEIVERS

KEY = "abcd-1234-efgh"


def address(scheme: str) -> str:
    """Return an address of it that is right, key and all."""
    whole = SCHEMES[scheme].looks
    parts = {"HOST": "h.example", "PORT": "9000", "APP": f"live/{KEY}", "FOLDER": "srv/aula"}
    for word, part in parts.items():
        whole = whole.replace(word, part)
    return whole + (f"?passphrase={KEY}%2B&streamid={KEY}" if SCHEMES[scheme].key == "srt" else "")


@pytest.fixture
def receiver(scheme: str, tmp_path: Path) -> Iterator[StreamTarget]:
    assert scheme in RECEIVERS, f"tests/support/receivers.py has nothing that takes {scheme}://"
    with RECEIVERS[scheme](tmp_path) as target:
        yield target


def test_every_kind_has_a_scheme() -> None:
    modules = {file.stem for file in Path(kinds.__file__ or "").parent.glob("[!_]*.py")}
    assert modules == {scheme.kind for scheme in SCHEMES.values()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_address_is_taken_apart_and_shows_nothing_secret(scheme: str) -> None:
    whole = address(scheme)
    check_stream_url(whole)
    url = parse_live_url(whole)
    assert isinstance(url, kind_of(scheme).url)
    assert url.scheme == scheme
    assert url.where
    assert url.host or kind_of(scheme).is_here or url.listens
    assert KEY not in repr(url)
    assert KEY not in url.where
    if SCHEMES[scheme].key:
        assert redact(f"it says {KEY}", url.secrets) == f"it says {REDACTED}"
    for secret in url.secrets:
        assert KEY not in secret_url(whole).redact(f"it says {secret}"), "settings/secrets.py hides less than the kind"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_its_child_gets_the_address_as_it_was(scheme: str) -> None:
    url = parse_live_url(address(scheme))
    assert msgspec.json.decode(msgspec.json.encode(url), type=kind_of(scheme).url) == url


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_address_is_refused_and_not_repeated(scheme: str) -> None:
    for rest in (f":x/{KEY}", "", f"[{KEY}", f"h.example:{KEY}"):
        with pytest.raises(UsageError) as caught:
            parse_live_url(f"{scheme}://{rest}")
        assert KEY not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.server
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_that_is_there_is_reached(scheme: str, receiver: StreamTarget) -> None:
    url = parse_live_url(receiver.url.reveal())
    reached = kind_of(scheme).reach(url, receiver.ca_file, Deadline.of(60, threading.Event()))
    assert reached in {"ok", "ok-folder", "ok-listens"} & set(CODES)


@pytest.mark.server
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_takes_a_stream_and_says_how_far_it_is(scheme: str, receiver: StreamTarget) -> None:
    shares: list[float] = []
    # A second longer than the most that may be missing, so that one that never says what it has sent is noticed.
    trial = run_stream_test(
        receiver, SystemClock(), threading.Event(), shares.append, video_bps=300_000, audio_bps=32_000, seconds=4.0
    )
    assert trial.was_taken, trial.status.message
    assert shares[-1] == 1.0
    assert trial.status.backlog_s < 3, "in the end: at first this PC may have other things to do"


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"RTMPS://A.Example.org/live2/{KEY}", RtmpUrl("rtmps", "a.example.org", 443, "live2", KEY)),
        (f"rtmp://h:19350/a/_definst_/{KEY}", RtmpUrl("rtmp", "h", 19350, "a/_definst_", KEY)),
        (f"rtmp://h/live/{KEY}?token=a/b", RtmpUrl("rtmp", "h", 1935, "live", f"{KEY}?token=a/b")),
        (f"rtmp://h/live2?backup=1/{KEY}", RtmpUrl("rtmp", "h", 1935, "live2?backup=1", KEY)),
        (f"rtmp://user:pass@h/live/{KEY}", RtmpUrl("rtmp", "h", 1935, "live", KEY, "user:pass")),
        (f"rtmp://kampus-ü.example/live/{KEY}\n", RtmpUrl("rtmp", "xn--kampus--t2a.example", 1935, "live", KEY)),
        ("SRT://[::1]:9000/?latency=120", SrtUrl("::1", 9000, latency_ms=120)),
        ("srt://:9000?mode=listener", SrtUrl("", 9000, "listener")),
        (
            "srt://h:9000?streamid=%23!::r=a+b,m=publish&passphrase=long%20enough+&pbkeylen=32",
            SrtUrl("h", 9000, passphrase="long enough+", stream_id="#!::r=a+b,m=publish", key_bytes=32),
        ),
        ("file:///srv/hls/aula%20a", FolderUrl("/srv/hls/aula a")),
    ],
)
def test_takes_addresses_apart(url: str, expected: LiveUrl) -> None:
    assert parse_live_url(url) == expected


def test_srt_redacts_both_secrets() -> None:
    url = parse_live_url("srt://h:9000?passphrase=long%20enough%2B&streamid=hall/1")
    said = redact("long enough+ | long%20enough%2B | long+enough%2B | hall/1 | hall%2F1", url.secrets)
    assert said == " | ".join([REDACTED] * 5)


@pytest.mark.parametrize(
    "url",
    [
        f"srt://h?passphrase={KEY}",
        f"srt://h:9000?passphrase={KEY}&pass={KEY}",
        f"srt://h:9000?passphrase={KEY}&passphrase={KEY}",
        f"srt://h:9000?mode={KEY}",
        f"srt://h:9000?passphrase={KEY}&latency=500000",
        f"srt://h:9000?streamid={KEY * 40}",
        f"srt://h:9000?passphrase={KEY}&pbkeylen=17",
        f"srt://:9000?passphrase={KEY}",
        "srt://h:9000?passphrase=tooshort",
        "file://srv/hls",
        f"http://h/live/{KEY}",
        f"rtmp:///live/{KEY}",
        f"rtmp://h:0/live/{KEY}",
        f"rtmp://h/{KEY}",
        f"rtmp://h/live/{KEY} {KEY}",
        f"rtmp://h/live/{KEY}\x00",
        f"rtmp://h/live/{KEY * 100}",
        f"rtmp://{'a' * 70}.example/live/{KEY}",
    ],
)
def test_refuses_what_cannot_work_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_live_url(url)
    assert KEY not in caught.value.message + caught.value.hint
    assert caught.value.message


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        url = parse_live_url("rtmp://" + text)
    except UsageError:
        return
    assert isinstance(url, RtmpUrl)
    assert url.key
    assert url.application
    assert url.host
    assert 0 < url.port < 65536


def test_redacts_every_spelling() -> None:
    url = parse_live_url(f"rtmp://user:hunter22@h.example/live/{KEY}+x?a=b%20c&t=t0ken=")
    assert isinstance(url, RtmpUrl)
    said = (
        f"{url.server}/{url.key} | /live/{KEY}+x?a=b%20c | {KEY}%2Bx%3Fa%3Db%2520c | {KEY}+x?a=b c | hunter22 | {KEY}+x"
        " | b c | t0ken%3D"
    )
    hidden = redact(said, url.secrets)
    assert KEY not in hidden
    assert "hunter22" not in hidden
    assert hidden.endswith(f" | {REDACTED} | {REDACTED}")


@pytest.mark.parametrize(
    ("url", "said", "hidden"),
    [
        (f"rtmp://h/live?t=S3cr%2Fet&backup=1/{KEY}", "app live, S3cr/et or S3cr%2Fet, 1", "app live, # or #, 1"),
        (f"rtmp://h/live/{KEY}?t=abcd", f"{KEY}?t=abcd", "#"),  # the longest first: else a part would be left
        ("rtmp://h/live/a", "key a is a bad key", "key # is # bad key"),  # a short one as a word only
    ],
)
def test_no_more_and_no_less_than_a_secret_is_redacted(url: str, said: str, hidden: str) -> None:
    assert redact(said, parse_live_url(url).secrets) == hidden.replace("#", REDACTED)
