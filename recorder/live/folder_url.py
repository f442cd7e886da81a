"""The address of a folder of this PC, or of what is mounted on it."""

from urllib.parse import unquote

import msgspec

from config.errors import UsageError


class FolderUrl(msgspec.Struct, frozen=True, tag="file"):
    """A folder that a web server serves: an HLS playlist and its segments go there."""

    path: str

    scheme = "file"
    host = ""
    port = 0
    listens = False

    @property
    def where(self) -> str:
        """The folder."""
        return self.path

    @property
    def secrets(self) -> tuple[str, ...]:
        """Nothing of it is secret."""
        return ()


def parse_folder_url(rest: str) -> FolderUrl:
    """Return the folder that what follows file:// names; raises UsageError."""
    path = unquote(rest).rstrip("/")
    if not path.startswith("/"):
        raise UsageError(
            "the address of a folder begins with file:/// and names it from the root",
            hint="the address of a folder looks like file:///srv/hls/room",
        )
    return FolderUrl(path)
