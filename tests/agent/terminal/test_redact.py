"""No secret leaves this PC in an export."""

import json

import pytest

from agent.terminal.redact import HIDDEN, redactor
from config.settings.secrets import Secret, srt_secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:pw@10.0.0.9/cam", f"rtsp://{HIDDEN}@10.0.0.9/cam"),
        ("see http://a:p@ss@host/x now", f"see http://{HIDDEN}@host/x now"),
        ("rtmps://a.example/live2/abcd-efgh failed", f"rtmps://a.example/live2/{HIDDEN} failed"),
        ("rtmp://h:1935/app?key=x", f"rtmp://h:1935/app?{HIDDEN}"),
        ("srt://h:1?passphrase=geheim01&mode=caller", f"srt://h:1?passphrase={HIDDEN}&mode=caller"),
        ('{"url":"x","token":"t0k3n"}', f'{{"url":"x","token":"{HIDDEN}"}}'),
        ("Authorization: Bearer abcdef0123456789", f"Authorization: Bearer {HIDDEN}"),
        ("password=hunter2 rest", f"password={HIDDEN} rest"),
        ("AWS_ACCESS_KEY=abc123 x", f"AWS_ACCESS_KEY={HIDDEN} x"),
        ("http://h/x?auth=t0k3n&sig=ab12", f"http://h/x?auth={HIDDEN}&sig={HIDDEN}"),
        ("Cookie: session=deadbeef; x", f"Cookie: session={HIDDEN}; x"),
        ("wifi psk=geheim01", f"wifi psk={HIDDEN}"),
        ("mysql --password geheim01 db", f"mysql --password {HIDDEN} db"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, expected: str) -> None:
    assert redactor()(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "rtmps://a.rtmp.youtube.com/live2",
        "pci-0000:00:1f.3",
        "046d:0825:CAM0001",
        "usb 1-2: USB disconnect, device number 5",
        '{"at":"2026-11-25T09:00:00+07:00","kind":"control-changed","reason":"focus: 30 instead of 0"}',
        "https://www.debian.org/support",
        "mail admin@example.org",
        '{"token":12,"key":null}',
        "the keyframe came late; keyboard: none",
        "wlan0: auth: timed out; session: 3 opened",
        "monkey: 3, hotkey=F1",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert redactor()(text) == text


def test_a_known_key_is_found_in_text_and_in_json() -> None:
    redact = redactor([Secret('ab"cd\\ef-é')])
    assert redact('the key ab"cd\\ef-é was refused') == f"the key {HIDDEN} was refused"
    srt = redactor([srt_secret('pass"phrase\\1', "aula utama")])
    assert srt(json.dumps(['pass"phrase\\1', "aula utama", "aula%20utama"])) == json.dumps([HIDDEN] * 3)
    assert redact(json.dumps({"reason": 'ab"cd\\ef-é'}, ensure_ascii=False)) == f'{{"reason": "{HIDDEN}"}}'
