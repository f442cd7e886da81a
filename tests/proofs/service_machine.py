"""The commands of IT and of operators for a service under systemd, and looks at it."""

import grp
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.running.client import send_command
from recorder.running.protocol import StatusCommand
from recorder.running.runtime_directory import RecorderFolder
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("/opt/liput")
DAEMON = "liput.service"
NOBODY = 65534
WAIT_S = 90.0


def run(*words: str | Path, statuses: Collection[int] = (0,), **more: Any) -> str:
    """Run a command to its end and return what it printed; its status must be one of these."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, timeout=180, **more
    )
    if done.returncode not in statuses:
        raise AssertionError(f"{' '.join(map(str, words))}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def cgroup(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().partition("::")[2]


@dataclass(frozen=True)
class Service:
    """A service: root's for all, commanded by members of its group, or a user's own."""

    mode: str
    user: str
    installer: str
    group: str
    runtime: Path
    recorders: Path
    variables: Mapping[str, str]
    home: Path = HOME
    """Where its Liput is."""

    @property
    def python(self) -> Path:
        return self.home / Path(sys.executable).relative_to(ROOT)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables of a command: of this process's only the path."""
        kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.home), "LC_ALL": "C.UTF-8"}
        return kept | dict(self.variables) | more

    def install(self, *words: str | Path, **more: Any) -> str:
        """Run `liput` as whoever installs the service."""
        who = pwd.getpwnam(self.installer)
        variables = self.environment(HOME=who.pw_dir)
        return self._liput(*words, env=variables, user=who.pw_uid, group=who.pw_gid, extra_groups=[], **more)

    def operate(self, *words: str | Path, **more: Any) -> str:
        """Run `liput` as an operator: for a system service somebody who is nothing but a member of the group."""
        user = NOBODY if self.mode == "system" else self.user
        home = "/nonexistent" if self.mode == "system" else pwd.getpwnam(self.user).pw_dir
        variables = self.environment(HOME=home, LIPUT_RUNTIME=str(self.runtime))
        group = grp.getgrnam(self.group).gr_gid
        return self._liput(*words, env=variables, user=user, group=group, extra_groups=[group], **more)

    def _liput(self, *words: str | Path, **more: Any) -> str:
        return run(self.python, "-P", "-m", "agent.cli.main", *words, cwd="/", **more)

    def systemctl(self, *words: str) -> str:
        if self.mode == "system":
            return run("systemctl", *words)
        return run("systemctl", "--user", *words, env=self.environment(), user=self.user)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        lines = self.systemctl("show", unit, f"--property={','.join(names)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def daemon(self) -> int:
        """Return the daemon's process, 0 while it is not started."""
        said = self.show(DAEMON, "ActiveState", "MainPID")
        return int(said["MainPID"]) if said["ActiveState"] == "active" else 0

    def another_daemon(self, than: int) -> int:
        return wait_for(lambda: pid if (pid := self.daemon()) != than else 0, WAIT_S, f"another daemon than {than}")

    def begin(self) -> int:
        """Begin a session as the daemon would, and let whoever began it die; return the recorder."""
        home = pwd.getpwnam(self.user).pw_dir
        variables = self.environment(HOME=home, LIPUT_RUNTIME=str(self.runtime), LIPUT_RECORDERS=str(self.recorders))
        if self.mode == "system":
            variables |= {"LIPUT_STATE": home, "LIPUT_OPERATORS": self.group}
        words = ("record", "--title", "Rapat senat", "--video", "synthetic", "--profile", "kecil", "--json")
        client = subprocess.Popen(
            [self.python, "-P", "-m", "agent.cli.main", *words],
            env=variables, cwd="/", user=self.user, group=self.group, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        pid = int(self.recorder()["pid"])
        client.kill()
        client.wait()
        self.goes_on(pid)
        return pid

    def recorder(self) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            for path in self.runtime.glob("*/recorder.json"):
                info: dict[str, Any] = json.loads(path.read_text())
                if info["work"]:
                    return info
            return {}

        return wait_for(found, WAIT_S, "a recorder that records")

    def media_s(self) -> float:
        reply = send_command(RecorderFolder(self.runtime / self.recorder()["id"]), StatusCommand())
        return reply.status.media_time_s if reply.status else 0.0

    def goes_on(self, pid: int) -> float:
        """Return how many seconds are on disk when there are more than now; the same process must put them there."""
        before_s = self.media_s()
        now_s = wait_for(lambda: found if (found := self.media_s()) > before_s + 0.5 else 0.0, WAIT_S, "more on disk")
        assert self.recorder()["pid"] == pid, "another recorder"
        return now_s


def of_the_system(home: Path = HOME) -> Service:
    runtime = Path("/run/liput")
    return Service("system", "liput", "root", "liput", runtime, Path("/run/liput-recorders.sock"), {}, home)


def of_a_user(name: str) -> Service:
    runtime = Path("/run/user") / str(pwd.getpwnam(name).pw_uid)
    variables = {"XDG_RUNTIME_DIR": str(runtime), "USER": name}
    return Service("user", name, name, name, runtime / "liput", runtime / "liput-recorders.sock", variables)
