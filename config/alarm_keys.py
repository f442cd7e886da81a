"""What is secret of alarms: a table of the file of keys (config/secrets.py).

[alarms]
mail_password = "..."                          # of [alarms] mail_user
webhook_header = "Authorization: Bearer ..."   # sent along with what is posted
webhook_url = "https://..."                    # instead of [alarms] webhook, where the address itself is a secret
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.alarms import check_web_address
from config.errors import SecretError
from config.quantities import NotAllowed
from config.schema import Settings
from config.secrets import Secret, read_key_table

TABLE = "alarms"
WORDS = ("mail_password", "webhook_header", "webhook_url")

_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):\s*(\S.*)")


@dataclass(frozen=True)
class AlarmKeys:
    """What senders of alarms must know and nobody else; what is not there is None.

    `webhook_header` is a name, and a value that is secret.
    """

    mail_password: Secret | None = None
    webhook_header: tuple[str, Secret] | None = None
    webhook_url: Secret | None = None

    def redact(self, text: str) -> str:
        """Return `text` without anything secret that is in here."""
        for secret in (self.mail_password, self.webhook_header and self.webhook_header[1], self.webhook_url):
            text = text if secret is None else secret.redact(text)
        return text


def alarm_keys(settings: Settings) -> AlarmKeys:
    """Return what stands in the file of keys; raises SecretError where it is wrong, missing, or others can read it."""
    path, table = read_key_table(settings, TABLE)
    wrong = [word for word, value in table.items() if word not in WORDS or not _is_secret(value)]
    if wrong:
        raise SecretError(
            f"{path}: what stands there in [{TABLE}] is of another form", hint=f"[{TABLE}] takes {', '.join(WORDS)}"
        )
    if settings.alarms.mail_user and settings.alarms.mail_server and "mail_password" not in table:
        raise SecretError(
            "there is no password for the e-mail of alarms",
            hint=f'add the line mail_password = "..." below [{TABLE}] in {path or "the file of keys"} (chmod 600)',
        )
    text = {word: str(value) for word, value in table.items()}
    return AlarmKeys(
        mail_password=Secret(text["mail_password"]) if "mail_password" in text else None,
        webhook_header=_header(text["webhook_header"], path) if "webhook_header" in text else None,
        webhook_url=_url(text["webhook_url"], path) if "webhook_url" in text else None,
    )


def _header(text: str, path: Path) -> tuple[str, Secret]:
    match = _HEADER.fullmatch(text.strip())
    if match is None or not text.isascii():
        raise SecretError(f"{path}: webhook_header is no header", hint='write webhook_header = "NAME: VALUE"')
    return match[1], Secret(match[2], match[2].split()[-1])


def _url(text: str, path: Path) -> Secret:
    try:
        check_web_address(text)
    except NotAllowed as error:
        raise SecretError(f"{path}: webhook_url {error}") from None
    return _secret_address(text)


def _secret_address(url: str) -> Secret:
    """Return an address all of which is secret, also what follows its host alone, as a server may repeat it."""
    path = url.partition("://")[2].partition("/")[2]
    return Secret(url, path, path.partition("?")[0].rpartition("/")[2])


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def alarm_secrets(settings: Settings) -> Iterator[Secret]:
    """Yield everything secret of the table, whatever else is wrong with it: what must not be printed."""
    with contextlib.suppress(SecretError, OSError):
        for word, value in read_key_table(settings, TABLE)[1].items():
            if isinstance(value, str):
                yield _secret_address(value) if word == "webhook_url" else Secret(value, *value.split()[-1:])
