"""The certificate that the page is served with, taken anew when it is renewed: a daemon runs for longer than one."""

import ssl
from collections.abc import Callable
from pathlib import Path


class Certificate:
    """Looked at now and then. What is renewed half, or is none, is told once; what was there before stays in use."""

    def __init__(self, context: ssl.SSLContext, files: tuple[Path, Path], tell: Callable[[str], None]) -> None:
        """`files` are the certificate, with its chain, and its key, which `context` has loaded."""
        self._context = context
        self._files = files
        self._tell = tell
        self._seen = self._stamps()

    def look(self) -> None:
        """Take it if it is another one than before."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            # First where nothing is served with it: the key of another certificate would leave that one without any.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self._context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            self._tell(
                f"the certificate of [web] was changed and cannot be used: {error}; the one before it stays in use"
            )
        else:
            self._tell("the certificate of [web] was changed; the page is served with the new one")

    def _stamps(self) -> object:
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:  # just being replaced
            return str(error)
        return [(file.st_ino, file.st_size, file.st_mtime_ns) for file in found]
