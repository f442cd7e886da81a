"""Which Liput this is, as packages say it."""

from importlib import metadata


def liput_version() -> str:
    """Return the version of this program; "unknown" where it is not installed."""
    try:
        return metadata.version("liput")
    except metadata.PackageNotFoundError:
        return "unknown"
