"""What the acts of the archive's proof have in common: servers, settings, a command killed at a random moment."""

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import archives, command, copies
from tests.support.copies import Place
from tests.support.s3 import Seaweed
from tests.support.sshd import Sshd

LARGE = 24_000_000
LONGEST_S = 1.0
"""A command is killed at a random moment within what an undisturbed one takes; before that is known, within this."""


@dataclass
class Bench:
    """Servers, a recording, and how long each command takes when nothing disturbs it."""

    sshd: Sshd
    seaweed: Seaweed
    program: Path
    chance: random.Random
    takes_s: dict[str, float] = field(default_factory=dict)

    def place(self, kind: str, folder: Path) -> Place:
        """Return a new place of a kind."""
        if kind == "folder":
            return copies.folder_place(folder / "tujuan")
        if kind == "sftp":
            return copies.sftp_place(self.sshd, folder.name)
        return copies.s3_place(self.seaweed, folder.name)

    def kill(self, act: str, folder: Path, *words: str) -> tuple[bool, float]:
        """Kill `liput WORDS` at a random moment; return whether it was finished before, and after how many seconds."""
        after_s = self.chance.uniform(0.0, self.takes_s.get(act, LONGEST_S))
        began = time.monotonic()
        with command.running(folder, *words, more=settings(folder)) as running:
            try:
                assert running.wait_for_exit(after_s) == 0, f"liput {' '.join(words)}"
            except subprocess.TimeoutExpired:
                running.signal(signal.SIGKILL)
                running.wait_for_exit()
                return False, after_s
        self.takes_s[act] = time.monotonic() - began
        return True, after_s

    def finish(self, act: str, folder: Path, *words: str) -> None:
        """Run the command that was killed once more, to its end."""
        began = time.monotonic()
        done = command.liput(folder, *words, more=settings(folder))
        assert done.returncode == 0, done.stderr
        self.takes_s.setdefault(act, time.monotonic() - began)


@contextmanager
def bench(folder: Path, seed: int) -> Iterator[Bench]:
    """Start the servers that copies go to."""
    program = archives.make_program(folder / "program.mp4")
    with Sshd(folder / "sshd") as sshd, Seaweed(folder / "seaweed") as seaweed:
        seaweed.make_bucket(copies.BUCKET)
        yield Bench(sshd, seaweed, program, random.Random(seed))


def settings(folder: Path) -> dict[str, str]:
    """Return the environment in which the settings of a folder count."""
    return {"LIPUT_CONFIG": str(folder / "liput.toml")}
