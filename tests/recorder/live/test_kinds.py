"""The contract of a kind of live destination, held to every scheme of addresses."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.checks.kinds.internet import CODES
from config.errors import UsageError
from config.settings.addresses import SCHEMES, check_stream_url
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from devices.uplink.connecting import Deadline
from recorder.live import kinds
from recorder.live.kind import LiveUrl, kind_of
from recorder.live.stream_test import run_stream_test
from recorder.live.url import REDACTED, parse_live_url, redact
from tests.support.receivers import RECEIVERS

pytestmark = pytest.mark.server

KEY = "abcd-1234-efgh"
PARTS = {"HOST": "h.example", "PORT": "9000", "APP": f"live/{KEY}", "FOLDER": "srv/aula"}
FOLLOWS = {"srt": f"?passphrase={KEY}%2B&streamid={KEY}"}


def address(scheme: str) -> str:
    """Return an address of it that is right, key and all."""
    whole = SCHEMES[scheme].looks
    for word, part in PARTS.items():
        whole = whole.replace(word, part)
    return whole + FOLLOWS.get(SCHEMES[scheme].key, "")


@pytest.fixture
def receiver(scheme: str, tmp_path: Path) -> Iterator[StreamTarget]:
    assert scheme in RECEIVERS, f"tests/support/receivers.py has nothing that takes {scheme}://"
    with RECEIVERS[scheme](tmp_path) as target:
        yield target


def url_of(target: StreamTarget) -> LiveUrl:
    return parse_live_url(target.url.reveal())


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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_that_is_there_is_reached(scheme: str, receiver: StreamTarget) -> None:
    kind, began = kind_of(scheme), time.monotonic()
    reached = kind.reach(url_of(receiver), receiver.ca_file, Deadline.of(9.5, threading.Event()))
    assert reached in {"ok", "ok-folder", "ok-listens"}
    assert reached in CODES
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_takes_a_stream_and_says_how_far_it_is(scheme: str, receiver: StreamTarget) -> None:
    shares: list[float] = []
    # A second longer than the most that may be missing, so that one that never says what it has sent is noticed.
    trial = run_stream_test(
        receiver, SystemClock(), threading.Event(), shares.append, video_bps=300_000, audio_bps=32_000, seconds=4.0
    )
    assert trial.was_taken, trial.status.message
    assert shares[-1] == 1.0
    assert trial.backlog_s < 3
