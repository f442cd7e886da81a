import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import UsageError
from recorder.live.url import REDACTED, FolderUrl, RtmpUrl, SrtUrl, parse_live_url, redact

KEY = "abcd-1234-efgh"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"rtmp://h/live/{KEY}", RtmpUrl("rtmp", "h", 1935, "live", KEY)),
        (f"RTMPS://A.Example.org/live2/{KEY}", RtmpUrl("rtmps", "a.example.org", 443, "live2", KEY)),
        (f"rtmp://h:19350/a/_definst_/{KEY}", RtmpUrl("rtmp", "h", 19350, "a/_definst_", KEY)),
        (f"rtmp://h/live/{KEY}?token=a/b", RtmpUrl("rtmp", "h", 1935, "live", f"{KEY}?token=a/b")),
        (f"rtmp://h/live2?backup=1/{KEY}", RtmpUrl("rtmp", "h", 1935, "live2?backup=1", KEY)),
        (f"rtmp://user:pass@h/live/{KEY}", RtmpUrl("rtmp", "h", 1935, "live", KEY, "user:pass")),
        (f"rtmp://[::1]:1936/live/{KEY}", RtmpUrl("rtmp", "::1", 1936, "live", KEY)),
        (f"rtmp://kampus-ü.example/live/{KEY}\n", RtmpUrl("rtmp", "xn--kampus--t2a.example", 1935, "live", KEY)),
    ],
)
def test_takes_addresses_apart(url: str, expected: RtmpUrl) -> None:
    assert parse_live_url(url) == expected


def _rtmp(url: str) -> RtmpUrl:
    parsed = parse_live_url(url)
    assert isinstance(parsed, RtmpUrl)
    return parsed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("srt://h:9000", SrtUrl("h", 9000)),
        ("SRT://[::1]:9000/?latency=120", SrtUrl("::1", 9000, latency_ms=120)),
        ("srt://:9000?mode=listener", SrtUrl("", 9000, "listener")),
        ("srt://192.0.2.7:9000?mode=listener", SrtUrl("192.0.2.7", 9000, "listener")),
        (
            "srt://h:9000?streamid=%23!::r=a+b,m=publish&passphrase=long%20enough+&pbkeylen=32",
            SrtUrl("h", 9000, passphrase="long enough+", stream_id="#!::r=a+b,m=publish", key_bytes=32),
        ),
        ("file:///srv/hls/room/", FolderUrl("/srv/hls/room")),
        ("file:///srv/hls/aula%20a", FolderUrl("/srv/hls/aula a")),
    ],
)
def test_takes_addresses_of_other_kinds_apart(url: str, expected: SrtUrl | FolderUrl) -> None:
    assert parse_live_url(url) == expected


def test_srt_shows_only_where_it_leads_and_redacts_both_secrets() -> None:
    url = parse_live_url("srt://h:9000?passphrase=long%20enough%2B&streamid=hall/1")
    assert repr(url) == "SrtUrl(h:9000)"
    assert repr(parse_live_url("srt://:9000?mode=listener&passphrase=long%20enough")) == "SrtUrl(port 9000)"
    said = redact("long enough+ | long%20enough%2B | long+enough%2B | hall/1 | hall%2F1", url.secrets)
    assert said == " | ".join([REDACTED] * 5)


@pytest.mark.parametrize(
    "url",
    [
        "",
        KEY,
        f"srt://h?passphrase={KEY}",
        f"srt://h:9000?passphrase={KEY}&pass={KEY}",
        f"srt://h:9000?passphrase={KEY}&passphrase={KEY}",
        f"srt://h:9000?mode={KEY}",
        f"srt://h:9000?latency={KEY}",
        f"srt://h:9000?passphrase={KEY}&latency=500000",
        f"srt://h:9000?streamid={KEY * 40}",
        f"srt://h:9000?passphrase={KEY}&pbkeylen=17",
        f"srt://:9000?passphrase={KEY}",
        "srt://h:9000?passphrase=tooshort",
        "srt://h:9000?passphrase=" + "x" * 80,
        "file://srv/hls",
        "file:",
        f"http://h/live/{KEY}",
        f"rtmp:///live/{KEY}",
        f"rtmp://h:0/live/{KEY}",
        f"rtmp://h:99999/live/{KEY}",
        f"rtmp://h:port/live/{KEY}",
        f"rtmp://[::1/live/{KEY}",
        f"rtmp://h/{KEY}",
        f"rtmp://h/{KEY}/",
        "rtmp://h",
        f"rtmp://h/live/{KEY} {KEY}",
        f"rtmp://h/live/{KEY}\x00",
        f"rtmp://h/live/{KEY * 100}",
        f"rtmp://{'a' * 70}ü.example/live/{KEY}",
        f"rtmp://{'a' * 70}.example/live/{KEY}",
        f"rtmp://h..example/live/{KEY}",
        f"srt://h..example:9000?passphrase={KEY}",
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
        url = _rtmp("rtmp://" + text)
    except UsageError:
        return
    assert url.key
    assert url.application
    assert url.host
    assert 0 < url.port < 65536


def test_shows_only_the_host() -> None:
    url = parse_live_url(f"rtmp://user:hunter22@h.example/live/{KEY}")
    assert repr(url) == "RtmpUrl(rtmp://h.example:1935)"


def test_redacts_every_spelling() -> None:
    url = _rtmp(f"rtmp://user:hunter22@h.example/live/{KEY}+x?a=b%20c&t=t0ken=")
    said = (
        f"{url.server}/{url.key} | /live/{KEY}+x?a=b%20c | {KEY}%2Bx%3Fa%3Db%2520c | {KEY}+x?a=b c | hunter22 | {KEY}+x"
        " | b c | t0ken%3D"
    )
    hidden = redact(said, url.secrets)
    assert KEY not in hidden
    assert "hunter22" not in hidden
    assert hidden.endswith(f" | {REDACTED} | {REDACTED}")
    assert REDACTED in hidden


def test_redacts_a_token_of_the_application() -> None:
    url = _rtmp(f"rtmp://h.example/live?token=S3cr%2Fet&backup=1/{KEY}")
    assert url.application == "live?token=S3cr%2Fet&backup=1"
    assert redact("no app live, token S3cr/et or S3cr%2Fet, backup 1", url.secrets) == (
        f"no app live, token {REDACTED} or {REDACTED}, backup 1"
    )


def test_the_longest_secret_is_looked_for_first() -> None:
    """Else what is left of it would stand beside the place of a shorter one."""
    url = _rtmp(f"rtmp://user:hunter22@h.example/live?token=abcd/{KEY}?x=yz")
    assert list(url.secrets) == sorted(url.secrets, key=len, reverse=True)
    assert "abcd" in url.secrets


def test_a_short_key_is_redacted_as_a_word_only() -> None:
    assert redact("key a is a bad key", ("a",)) == f"key {REDACTED} is {REDACTED} bad key"
