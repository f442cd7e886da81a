"""Two network namespaces joined by a link that tests make slow, long, lossy or dead. No traffic leaves them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Self

from agent.sessions.receiver import HOST, start_server, stop_server, wait_until_listening
from tests.net.shaper import LEFT, RIGHT

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """Where a server runs: the address it listens on, the words that start a command there, and a process there."""

    address: str
    enter: tuple[str, ...] = ()
    pid: int | None = None


LOOPBACK = Place(HOST)


@contextmanager
def listening(words: Sequence[str], folder: Path, port: int, place: Place = LOOPBACK) -> Iterator[None]:
    """Run a server at a place, from when it listens on a port until the block ends; its output is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = start_server([*place.enter, *words], folder)
    try:
        assert wait_until_listening(port, server, place.address, place.pid), (folder / "output").read_text()
        yield
    finally:
        stop_server(server, SIGKILL)


class Lab:
    """A PC (`pc`) and a server (`server`) with one link between them, inside a `with`."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._holders: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self) -> None:
        own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        pc = self._hold(["unshare", *own_user, "--net", "--mount"])
        inside = ["nsenter", f"--target={pc}", "--user", "--preserve-credentials"] if own_user else []
        server = self._hold([*inside, "unshare", "--net", "--mount"])
        enter = ["nsenter", "--net", "--mount", "--root", *(["--user", "--preserve-credentials"] if own_user else [])]
        self.pc = Place(LEFT, (*enter, f"--target={pc}", "--"), pc)
        self.server = Place(RIGHT, (*enter, f"--target={server}", "--"), server)
        self._shaper = subprocess.Popen(
            [*inside, sys.executable, "-P", "-m", "tests.net.shaper", str(pc), str(server), str(self._seed)],
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()

    def _hold(self, words: list[str]) -> int:
        """Make namespaces that last as long as a process that waits for the end of its input; return its id."""
        holder = subprocess.Popen([*words, "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._holders.append(holder)
        assert holder.stdout
        assert holder.stdout.readline(), f"{words[0]} may not make a network namespace here"
        return holder.pid

    def link(self, **order: object) -> Mapping[str, Mapping[str, int]]:
        """Change the link, as tests.net.shaper describes; return what has passed so far, each way."""
        assert self._shaper.stdin
        self._shaper.stdin.write(json.dumps(order).encode() + b"\n")
        self._shaper.stdin.flush()
        return self._answer()

    def both(self, **qualities: float) -> None:
        """Give both ways of the link the same qualities."""
        self.link(up=qualities, down=qualities)

    def _answer(self) -> Mapping[str, Mapping[str, int]]:
        assert self._shaper.stdout
        answer: Mapping[str, Mapping[str, int]] = json.loads(self._shaper.stdout.readline())
        return answer

    def resolve_by(self, folder: Path, server: str) -> None:
        """Let the PC ask `server` for the addresses of hosts, from now on and nobody else."""
        (folder / "resolv.conf").write_text(f"nameserver {server}\n")
        self.put_over(folder / "resolv.conf", "/etc/resolv.conf")

    def put_over(self, file: Path, place: str) -> None:
        """Let processes of the PC see `file` in place of another."""
        subprocess.run([*self.pc.enter, "mount", "--bind", str(file), os.path.realpath(place)], check=True)

    def close(self) -> None:
        """End the link and both namespaces."""
        shaper = [self._shaper] if hasattr(self, "_shaper") else []
        for process in (*shaper, *self._holders):
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            process.wait(60)

    def __exit__(self, *_: object) -> None:
        self.close()
