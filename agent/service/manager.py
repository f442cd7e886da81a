"""Asking systemd: the system's manager, or that of this user."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.service.units import RECORDER
from config.errors import ServiceError

BOOTED = Path("/run/systemd/system")
"""There where systemd is the first process (sd_booted(3))."""
PATIENCE_S = 120.0
"""How long a command may take: a daemon that starts says so within 90 s, or is given up."""
NO_MANAGER = "Failed to connect"


class Manager:
    """One of the two service managers."""

    def __init__(self, *, is_system: bool) -> None:
        self.is_system = is_system

    def check(self) -> None:
        """Raise ServiceError where there is none."""
        if not BOOTED.is_dir():
            raise ServiceError(
                "systemd does not run this PC, so there is no service to install",
                hint="have `liput serve` started by whatever starts programs here; --dry-run shows the units",
            )

    def command(self, *words: str) -> Sequence[str]:
        """Return the words of a command to the manager."""
        return ("systemctl", *(() if self.is_system else ("--user",)), *words)

    def run(self, *words: str) -> str:
        """Carry out a command of systemctl and return what it printed. Raises ServiceError."""
        return run(self.command(*words))

    def show(self, unit: str, names: Sequence[str]) -> dict[str, str]:
        """Return what the manager says of a unit. Raises ServiceError."""
        lines = self.run("show", unit, f"--property={','.join(names)}").splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        return {name: found.get(name, "") for name in names}

    def recorders(self) -> list[str]:
        """Return the units of recorders that run, spares too. Raises ServiceError."""
        pattern = RECORDER.replace("@", "@*")
        listed = self.run("list-units", pattern, "--plain", "--no-legend", "--state=active,activating,deactivating")
        return [line.split()[0] for line in listed.splitlines() if line.strip()]


def run(words: Sequence[str]) -> str:
    """Run a command and return what it printed. Raises ServiceError with what it said."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise ServiceError(f"{words[0]} is not installed", hint="it belongs to systemd") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"{' '.join(words)} has not ended within {PATIENCE_S:.0f} s", hint="systemctl status says what it waits for"
        ) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = said[0] if said else f"status {done.returncode}"
        hint = "journalctl -u liput says why"
        if NO_MANAGER in reason and "--user" in words:
            hint = "log in as that user, on the desktop or by ssh, rather than with su; or use --system"
        raise ServiceError(f"{' '.join(words)}: {reason}", hint=hint)
    return done.stdout
