"""A real SFTP server for tests: OpenSSH's, run as this user, with keys of its own, on loopback."""

import contextlib
import getpass
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import asyncssh
import psutil

from agent.sessions.receiver import HOST, free_port, start_server, stop_server, wait_until_listening
from tests.support.waiting import PATIENCE_S


class Sshd:
    """The server; `folder/files` is what it is for. `login_key` is let in, `known_hosts` has the key of the server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.files = folder / "files"
        self.files.mkdir()
        self.known_hosts = folder / "known_hosts"
        self.login_key = new_key(folder / "login")
        self.other_key = new_key(folder / "other")
        (folder / "authorized_keys").write_text((folder / "login.pub").read_text())
        self._configuration = folder / "sshd_config"
        self._server: subprocess.Popen[bytes] | None = None
        self.change_host_key()
        self.known_hosts.write_text(f"[{HOST}]:{self.port} {(folder / 'host.pub').read_text()}")
        if os.geteuid() == 0:  # where sshd locks up what reads from strangers; systemd makes it on a PC
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    @property
    def url(self) -> str:
        return f"sftp://{getpass.getuser()}@{HOST}:{self.port}{self.files}"

    def change_host_key(self) -> None:
        for path in (self.folder / "host", self.folder / "host.pub"):
            path.unlink(missing_ok=True)
        new_key(self.folder / "host")

    def start(self) -> None:
        self._configuration.write_text(
            f"Port {self.port}\nListenAddress {HOST}\nHostKey {self.folder / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nStrictModes no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
            "PerSourcePenalties no\nMaxStartups 50\n"
        )
        self._server = start_server(["/usr/sbin/sshd", "-D", "-e", "-f", str(self._configuration)], self.folder)
        if not wait_until_listening(self.port, self._server, timeout_s=PATIENCE_S):
            raise AssertionError((self.folder / "output").read_text())

    def _everybody(self) -> list[psutil.Process]:
        assert self._server
        process = psutil.Process(self._server.pid)
        return [process, *process.children(recursive=True)]

    def hang(self) -> None:
        """Neither take anything nor say anything, until `go_on`."""
        _signal(self._everybody(), signal.SIGSTOP)

    def go_on(self) -> None:
        _signal(self._everybody(), signal.SIGCONT)

    def cut(self) -> None:
        """Break every connection, and take new ones."""
        _signal(self._everybody()[1:], signal.SIGKILL)

    def stop(self) -> None:
        if self._server is not None:
            self.cut()
            stop_server(self._server)
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has ended with the one before it
            process.send_signal(number)


def new_key(path: Path) -> Path:
    """Make a key pair, PATH and PATH.pub; return the private one."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(path))
    path.chmod(0o600)
    key.write_public_key(str(path.with_name(f"{path.name}.pub")))
    return path
