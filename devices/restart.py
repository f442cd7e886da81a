"""Whether this PC waits for a restart: after updates some things work only when it has been."""

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RestartPlaces:
    """Where that is seen; `release` is the kernel that runs."""

    run: Path = Path("/run")
    modules: Path = Path("/lib/modules")
    release: str = platform.release()


def is_restart_asked_for(places: RestartPlaces | None = None) -> bool:
    """Return whether an update has asked for a restart (Debian, Ubuntu)."""
    return ((places or RestartPlaces()).run / "reboot-required").exists()


def are_drivers_gone(places: RestartPlaces | None = None) -> bool:
    """Return whether an update has removed the drivers of the kernel that runs: what is plugged in now may not work.

    Those of another kernel have to be there: some machines have none at all.
    """
    places = places or RestartPlaces()
    try:
        kernels = {folder.name for folder in places.modules.iterdir() if (folder / "kernel").is_dir()}
    except OSError:
        return False
    return bool(kernels) and places.release not in kernels
