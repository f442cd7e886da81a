"""Which Liput this is, as packages say it."""

NAME = "liput"
_FIELD = "Version: "


def liput_version() -> str:
    """Return the version of this program; "unknown" where it is not installed."""
    # Asked once, at the end of a session. `metadata.version` would load all that reads e-mail to find the one line.
    from importlib import metadata

    try:
        said = metadata.distribution(NAME).read_text("METADATA") or ""
    except metadata.PackageNotFoundError:
        return "unknown"
    header = said.partition("\n\n")[0].splitlines()
    return next((line.removeprefix(_FIELD).strip() for line in header if line.startswith(_FIELD)), "unknown")
