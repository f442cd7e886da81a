"""From the words of a command to what a recorder is asked to be."""

from pathlib import Path

import msgspec

from config.settings.loading import find_file
from config.settings.secrets import StreamTarget, read_url_file
from recorder.control.spec import Spec
from recorder.session.request import Asked

STDIN = "@-"


def specify(asked: Asked, config_file: Path | None, *, arm_only: bool = False) -> Spec:
    """Return the specification; standard input, which is ours, is read here. Raises SecretError for no address."""
    streams = list(dict.fromkeys(asked.streams))
    targets = list(asked.targets)
    if STDIN in streams:
        streams.remove(STDIN)
        targets.append(StreamTarget("stdin", read_url_file("-")))
    return Spec(
        asked=msgspec.structs.replace(asked, streams=streams, targets=targets),
        settings=absolute(find_file(config_file)),
        folder=here(),
        arm_only=arm_only,
    )


def here() -> Path:
    """Return the folder that relative paths are meant from; the root where ours has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def absolute(path: Path | None) -> Path | None:
    """Return a path that means the same from everywhere."""
    return None if path is None else here() / path.expanduser()
