"""A session whose daemon is ended in every way there is, under systemd as the first process (boot-systemd)."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.proofs import service_machine as machine
from tests.proofs.service_machine import DAEMON, WAIT_S, Service, cgroup, run
from tests.support.waiting import wait_for

ARCHIVE = Path("/srv/arsip")
NEXT_HOME = Path("/opt/liput-next")
RESIDENT = "rapat"
"""The user with a service of their own."""
SETTINGS = """
general.room = "Ruang Sidang"
archive = {{ path = "{archive}", reserve = "1 MB" }}
web.enabled = false
[profiles.kecil]
width = 160
height = 90
fps = 5
video_bitrate = "100 kbit/s"
preset = "ultrafast"
audio_bitrate = "64 kbit/s"
audio_channels = 1
"""
NO_RIGHTS = "0000000000000000"
V1_MEMORY = Path("/run/memory")
"""Memory control groups where those of version 2 have no memory."""

type Shown = Mapping[str, object]


@dataclass
class Scenario:
    """One session from its beginning to the archive. Each step returns what it has shown, or raises."""

    service: Service = field(default_factory=machine.of_the_system)
    pid: int = 0
    on_disk: list[float] = field(default_factory=list)

    def _goes_on(self) -> Shown:
        now_s = self.service.goes_on(self.pid)
        assert not self.on_disk or now_s > self.on_disk[-1], "what was on disk is there no more"
        self.on_disk.append(now_s)
        return {"recorder": self.pid, "on_disk_s": round(now_s, 1)}

    def install(self) -> Shown:
        """Install the service: `sudo liput service install --system --now`."""
        _settings(Path("/etc/liput/liput.toml"), ARCHIVE)
        sys.stdout.write(self.service.install("service", "install", "--system", "--now"))
        said = self.service.show(DAEMON, "ActiveState", "UnitFileState", "StatusText", "User")
        assert said == {
            "ActiveState": "active", "UnitFileState": "enabled", "StatusText": "watching", "User": "liput",
        }, said  # fmt: skip
        return {"unit": said}

    def judged(self) -> Shown:
        """Have systemd judge the units that run: nothing to `verify`, little exposed."""
        again = self.service.install("service", "install", "--system")
        assert "wrote" not in again, again
        status = self._status()
        assert (status["installed"], status["enabled"], status["active"]) == (True, "enabled", "active"), status
        said = run("systemd-analyze", "verify", "--man=no", DAEMON, "liput-recorder.socket", "liput-recorder@7.service")
        assert not said, said
        wait_for(lambda: self._status()["recorders"], WAIT_S, "a recorder in reserve")
        units = (DAEMON, self._status()["recorders"][0])
        exposures = {re.sub(r"@.*\.", "@.", unit): _exposure(unit) for unit in units}
        assert max(exposures.values()) <= 2, exposures
        return {"verify": "nothing", "exposure": exposures}

    def _status(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.service.install("service", "status", "--system", "--json"))
        return found

    def session(self) -> Shown:
        """Begin a session, in a unit of its own, and kill whoever began it."""
        self.pid = self.service.begin()
        groups = {"daemon": cgroup(self.service.daemon()), "recorder": cgroup(self.pid)}
        assert groups["daemon"] == f"/liput.slice/{DAEMON}", groups
        assert groups["recorder"].startswith("/liput.slice/liput-recorder@"), groups
        return {**self._goes_on(), "cgroups": groups}

    def confined(self) -> Shown:
        """Look at the recorder: it has no right at all, and its folder is for the operators."""
        folder = self.service.runtime / self.service.recorder()["id"]
        names = ("control.sock", "preview.sock", "recorder.json", "spec.json")
        paths = {path.name: path for path in (self.service.runtime, self.service.recorders)}
        paths |= {"liput/ID": folder} | {f"liput/ID/{name}": folder / name for name in names}
        modes = {name: _mode(path) for name, path in paths.items()}
        assert modes == {
            "liput": "750 liput:liput",
            "liput-recorders.sock": "600 liput:liput",
            "liput/ID": "710 liput:liput",
            "liput/ID/control.sock": "660 liput:liput",
            "liput/ID/preview.sock": "660 liput:liput",
            "liput/ID/recorder.json": "640 liput:liput",
            "liput/ID/spec.json": "600 liput:liput",
        }, modes
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = dict(re.findall(r"^(CapEff|CapBnd|NoNewPrivs|Seccomp):\t(\S+)", status, re.MULTILINE))
        assert found == {"CapEff": NO_RIGHTS, "CapBnd": NO_RIGHTS, "NoNewPrivs": "1", "Seccomp": "2"}, found
        unit = cgroup(self.pid).rpartition("/")[2]
        devices = self.service.show(unit, "DevicePolicy")
        assert devices == {"DevicePolicy": "closed"}, devices
        return {"modes": modes, "process": found} | devices

    def commanded(self) -> Shown:
        """See the session and mark a moment, as somebody who is nothing but a member of the group."""
        (line,) = json.loads(self.service.operate("status", "--json"))
        assert line["pid"] == self.pid, line
        mark = json.loads(self.service.operate("mark", "Pembukaan", "--json"))["text"]
        assert mark == "Pembukaan", mark
        return {"mark": mark}

    def killed(self) -> Shown:
        """Kill the daemon (`kill -9`)."""
        return self._daemon_ends(lambda pid: os.kill(pid, signal.SIGKILL))

    def crashed(self) -> Shown:
        """Crash the daemon (SIGSEGV)."""
        return self._daemon_ends(lambda pid: os.kill(pid, signal.SIGSEGV))

    def out_of_memory(self) -> Shown:
        """Starve the daemon of memory: the kernel kills it, and nothing else."""
        if V1_MEMORY.exists():
            return self._starved_in(V1_MEMORY / "starved")

        def starve(pid: int) -> None:
            self.service.systemctl("set-property", "--runtime", DAEMON, "MemoryMax=4M", "MemorySwapMax=0")
            wait_for(lambda: self.service.daemon() != pid, WAIT_S, "the kernel's kill for want of memory")
            self.service.systemctl("set-property", "--runtime", DAEMON, "MemoryMax=infinity")

        shown = self._daemon_ends(starve)
        assert f"{DAEMON}: Failed with result 'oom-kill'" in run("journalctl", "--no-pager")
        return shown

    def _starved_in(self, group: Path) -> Shown:
        def starve(pid: int) -> None:
            (group / "memory.limit_in_bytes").write_text("4M")
            (group / "cgroup.procs").write_text(str(pid))  # without its memory: only new memory counts
            with Path("/etc/liput/liput.toml").open("a") as settings:
                settings.write("#" * (8 << 20))  # which the daemon reads
            wait_for(lambda: self.service.daemon() != pid, WAIT_S, "the kernel's kill for want of memory")

        group.mkdir()
        text = Path("/etc/liput/liput.toml").read_text()
        try:
            shown = self._daemon_ends(starve)
            assert "oom_kill 1\n" in (group / "memory.oom_control").read_text()
        finally:
            Path("/etc/liput/liput.toml").write_text(text)
            group.rmdir()  # the groups of version 1 are this machine's
        return shown

    def restarted(self) -> Shown:
        """Restart the daemon (`systemctl restart liput`)."""
        return self._daemon_ends(lambda _: self.service.systemctl("restart", DAEMON))

    def upgraded(self) -> Shown:
        """Install and start another Liput, in a folder of its own; the session keeps the one that it began with."""
        upgrade = machine.of_the_system(NEXT_HOME)
        first = self.service.daemon()
        said = upgrade.install("service", "install", "--system", "--now")
        assert "wrote /etc/systemd/system/liput.service" in said, said
        daemon = self.service.another_daemon(first)
        programs = {name: _program(pid) for name, pid in (("daemon", daemon), ("recorder", self.pid))}
        assert programs["daemon"].startswith(f"{NEXT_HOME}/"), programs
        assert programs["recorder"].startswith(f"{machine.HOME}/"), programs
        return {**self._goes_on(), "programs": programs}

    def hung(self) -> Shown:
        """Stop the daemon from moving (SIGSTOP): the watchdog has it started anew."""
        began_s = time.monotonic()
        shown = self._daemon_ends(lambda pid: os.kill(pid, signal.SIGSTOP), self._watchdog_barks)
        return shown | {"hung_s": round(time.monotonic() - began_s, 1)}

    def _watchdog_barks(self, began_s: float) -> None:
        hung_s = time.monotonic() - began_s
        # The watchdog's 20 s, 5 s for a core, a second until the next start, and the start of a busy PC.
        assert hung_s < 40, hung_s
        assert f"{DAEMON}: Watchdog timeout" in run("journalctl", "--no-pager")

    def uninstalled(self) -> Shown:
        """Uninstall the service: the session goes on, and the settings stay."""
        sys.stdout.write(self.service.install("service", "uninstall", "--system"))
        assert not Path("/etc/systemd/system/liput.service").exists()
        assert not Path("/etc/udev/rules.d/70-liput.rules").exists()
        assert Path("/etc/liput/liput.toml").exists()
        assert self.service.daemon() == 0
        return self._goes_on()

    def sealed(self) -> Shown:
        """Stop the session as an operator: one package, in which every file is right and every picture decodes."""
        return _sealed(self.service, self.pid, ARCHIVE, self.on_disk[-1])

    def _daemon_ends(
        self, how: Callable[[int], object], afterwards: Callable[[float], None] = lambda _: None
    ) -> dict[str, object]:
        """Have the daemon ended, see another one come, and the same recorder go on."""
        first, began_s = self.service.daemon(), time.monotonic()
        assert first, "no daemon to be ended"
        how(first)
        second = self.service.another_daemon(first)
        afterwards(began_s)
        return {"daemons": [first, second], **self._goes_on()}

    def user(self) -> Shown:
        """Do the same with a user's service, whose manager runs while nobody is logged in (`enable-linger`)."""
        _prepare_user()
        service = machine.of_a_user(RESIDENT)
        sys.stdout.write(service.install("service", "install", "--now"))
        pid = service.begin()
        groups = {"daemon": cgroup(service.daemon()), "recorder": cgroup(pid)}
        manager = f"/user@{service.runtime.parent.name}.service/"
        assert all(manager in group for group in groups.values()), groups
        assert groups["recorder"].rpartition("/")[2].startswith("liput-recorder@"), groups
        on_disk = {}
        for how in ("killed", "restarted"):
            first = service.daemon()
            if how == "killed":
                os.kill(first, signal.SIGKILL)
            else:
                service.systemctl("restart", DAEMON)
            service.another_daemon(first)
            on_disk[how] = round(service.goes_on(pid), 1)
        sealed = _sealed(service, pid, Path("/home") / RESIDENT / "Videos" / "Liput", on_disk["restarted"])
        return {"cgroups": groups, "on_disk_s": on_disk, **sealed}


SYSTEM = (
    "install", "judged", "session", "confined", "commanded", "killed", "crashed", "out_of_memory", "restarted",
    "upgraded", "hung", "uninstalled", "sealed",
)  # fmt: skip
USER = ("user",)
NEEDED = frozenset({"install", "session"})
"""Without these nothing that follows can be tried."""


def _exposure(unit: str) -> float:
    said = run("systemd-analyze", "security", "--no-pager", unit)
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", said)
    return float(exposure)


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o} {path.owner()}:{path.group()}"


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


def _sealed(service: Service, pid: int, archive: Path, least_s: float) -> Shown:
    result = json.loads(service.operate("stop", "--json", statuses=(0, 3)))  # 3: a busy PC may repeat a frame
    assert result["state"] == "sealed", result
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 180.0, "the recorder's end")
    (package,) = json.loads(service.install("archive", "list", "--json", "--archive", archive))
    assert package["state"] == "sealed", package
    assert package["duration_s"] >= least_s, package
    words = "archive", "verify", package["id"], "--decode", "--json", "--archive", archive
    verified = json.loads(service.install(*words))
    assert (verified["ok"], verified["problems"]) == (True, []), verified
    return {"duration_s": round(package["duration_s"], 1), "verified": True}


# The machine


def _settings(path: Path, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SETTINGS.format(archive=archive))


def prepare() -> None:
    """Put the checkout, twice, where a service may read it."""
    for home in (machine.HOME, NEXT_HOME):
        home.mkdir(parents=True)
        run("mount", "--bind", machine.ROOT, home)


def _prepare_user() -> None:
    """Make a user, and what such a one's manager is started by: D-Bus and logind."""
    run("useradd", "--create-home", RESIDENT)
    home = Path("/home") / RESIDENT
    _settings(home / ".config/liput/liput.toml", home / "Videos/Liput")
    run("chown", "-R", f"{RESIDENT}:{RESIDENT}", home)
    for unit in ("dbus.socket", "dbus.service", "systemd-logind.service"):
        Path("/etc/systemd/system", unit).unlink(missing_ok=True)  # boot-systemd masks them
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "dbus.socket", "systemd-logind.service")
    run("loginctl", "enable-linger", RESIDENT)
    manager = machine.of_a_user(RESIDENT).runtime.parent / "systemd" / "private"
    wait_for(manager.exists, WAIT_S, "the user's manager")


def carry_out(scenario: Scenario, steps: Sequence[str], written: Path) -> bool:
    """Go through these steps, and write what each has shown; return whether all of them held."""
    found: dict[str, Any] = {
        "first_process": Path("/proc/1/comm").read_text().strip(),
        "systemd": run("systemctl", "--version").split()[1],
        "steps": [],
    }
    for name in steps:
        sys.stdout.write(f"{time.monotonic():7.1f} s  {name}\n")
        sys.stdout.flush()
        line = _tried(name, getattr(scenario, name))
        found["steps"].append(line)
        written.write_text(json.dumps(found, indent=2))
        if not line["held"] and name in NEEDED:
            break
    return all(line["held"] for line in found["steps"])


def _tried(name: str, step: Callable[[], Shown]) -> dict[str, object]:
    began_s = time.monotonic()
    line: dict[str, object] = {"step": name, "what": (step.__doc__ or "").strip()}
    try:
        shown: Shown = step()
        held = True
    except Exception as error:  # whatever it is: it has not held, and that is the finding
        traceback.print_exc(file=sys.stdout)
        shown, held = {"why": str(error) or type(error).__name__}, False
    return line | {"held": held, "took_s": round(time.monotonic() - began_s, 1), "shown": shown}


def main(steps: Sequence[str]) -> int:
    """Go through these steps, or all of the system's service."""
    artifacts = Path(os.environ["ARTIFACTS"])
    with (artifacts / "journal-so-far.log").open("wb") as log:  # read while it runs, where one waits
        subprocess.Popen(["journalctl", "--follow", "--lines=all", "--output=short-monotonic"], stdout=log)
    prepare()
    return 0 if carry_out(Scenario(), steps or SYSTEM, artifacts / "service.json") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
