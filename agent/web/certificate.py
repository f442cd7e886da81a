"""The certificate that the page is served with, taken anew when it is renewed: a daemon runs for longer than one."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config.files import stamp
from devices.host import threads

type MakeContext = Callable[[], ssl.SSLContext]
"""Returns what serves with the certificate as it is on the disk now. Raises OSError and ssl.SSLError."""


class Certificate:
    """Looked at now and then. What is renewed half, or is none, is told once; what was there before stays in use."""

    def __init__(self, make: MakeContext, files: Sequence[Path], tell: Callable[[str], None]) -> None:
        """`files` are the certificate, with its chain, and its key. Raises what `make` raises."""
        self.served = self._now = make()
        """What the server is to have."""
        self._make = make
        self._files = files
        self._tell = tell
        self._is_looking = False
        self._seen = self._stamps()
        # Another context, not another certificate in the same one: it has one for each kind of key.
        self.served.sni_callback = self._choose

    def look_beside(self) -> None:
        """Take it if it is another one than before, on a thread: its disk may not answer."""
        if not self._is_looking:
            self._is_looking = True
            with suppress(RuntimeError):  # the next time
                threads.start(self._look, name="web-certificate", otherwise=self._looked)

    def _look(self) -> None:
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            self._now = self._make()
            self._tell("the certificate of [web] was changed; the page is served with the new one")
        except (OSError, ssl.SSLError) as error:
            self._tell(f"the certificate of [web] was changed and cannot be used: {error}; the one before it stays")
        finally:
            self._looked()

    def _looked(self) -> None:
        self._is_looking = False

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _served: ssl.SSLContext) -> None:
        connection.context = self._now

    def _stamps(self) -> object:
        return [stamp(file) for file in self._files]
