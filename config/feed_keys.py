"""Addresses of calendars that are secret: a table of the file of keys (config/secrets.py).

    [feeds]
    rapat = "https://calendar.example/private-0123456789/basic.ics"

Whoever has such an address can read the calendar: it is handled as a key is.
"""

import contextlib
from collections.abc import Iterator

from config.errors import SecretError
from config.quantities import NotAllowed
from config.schedule import check_feed_address
from config.schema import Settings
from config.secrets import Secret, keys_path, read_key_table

TABLE = "feeds"


def feed_address(settings: Settings, name: str) -> Secret:
    """Return the address of the calendar `name`; raises UsageError, and SecretError where its address is missing."""
    if url := settings.feed(name).url:
        return Secret(url)
    path = keys_path(settings)
    hint = f'add url to [feeds.{name}], or the line {name} = "https://..." below [{TABLE}] in {path or "keys.toml"}'
    address = read_key_table(settings, TABLE)[1].get(name)
    if address is None:
        raise SecretError(f'the calendar "{name}" has no address', hint=hint)
    try:
        return Secret(check_feed_address(address))
    except NotAllowed as error:
        raise SecretError(f'{path}: the address of the calendar "{name}" {error}', hint=hint) from None


def feed_secrets(settings: Settings) -> Iterator[Secret]:
    """Yield every address of the table, whatever else is wrong with it: what must not be printed."""
    with contextlib.suppress(SecretError, OSError):
        for address in read_key_table(settings, TABLE)[1].values():
            if isinstance(address, str):
                yield Secret(address)
