"""What the settings of the page allow, and what goes together."""

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.reader import read_settings
from config.serving import WebSettings

FILE = Path("/somewhere/liput.toml")


def web(text: str) -> WebSettings:
    return read_settings(f"[web]\n{text}", FILE).web


def test_only_this_pc_reaches_it_unless_it_is_told_otherwise() -> None:
    assert (WebSettings().address, WebSettings().is_encrypted) == ("127.0.0.1", False)
    assert web('host = "::1"').address == "::1"
    opened = web('lan = true\ntls_certificate = "a.pem"\ntls_key = "a.key"')
    assert (opened.address, opened.tls_key, opened.is_encrypted) == ("0.0.0.0", FILE.parent / "a.key", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('host = "0.0.0.0"', "needs lan = true"),
        ('host = "192.168.1.5"', "needs lan = true"),
        ('host = "aula"', "must be an address of this PC"),
        ("lan = true", "needs tls_certificate and tls_key"),
        ('tls_key = "a.key"', "go together"),
        ('tls_certificate = "a.pem"', "go together"),
        ("port = 70000", "from 0 to 65535"),
        ('allowed_hosts = ["*"]', "names of hosts"),
        ('token = "abc"', "does not belong in this file"),
    ],
)
def test_what_would_let_others_in_unasked_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        web(text)
