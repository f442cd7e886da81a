"""Run one command in a throw-away virtual machine that shares this machine's files; tests/rig/README.md has examples.

Its exit status is the command's: 124 where that ran past --timeout, 125 where the guest never reported one. Environment
variables are not passed on: use --env.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST_INIT = HERE / "guest-init"
FETCH_KERNEL = HERE / "fetch-kernel"
FETCH_LOOPBACK = HERE / "fetch-loopback"
PATIENT = 8  # the niceness of a machine beside tests that run in real time: those go first
NEVER_REPORTED = 125
TIMED_OUT = 124

# Program -> Debian's package, for what the host runs and what the guest finds on the host's root.
HOST_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "virtiofsd": "virtiofsd"}
GUEST_PROGRAMS = {"modprobe": "kmod", "ip": "iproute2", "udevadm": "udev", "systemd-udevd": "udev"}
# Where those live that are not on every user's PATH.
SYSTEM_FOLDERS = ("/usr/libexec", "/usr/lib/qemu", "/usr/lib/systemd", "/lib/systemd", "/usr/sbin", "/sbin")

# The guest's clock counts its instructions, 2**SHIFT nanoseconds each, and real time only while it is idle: a
# processor of constant speed, however busy the host is. Without this, a camera's frames come late and sound
# is lost whenever the host does something else. 0 is the fastest processor that can be had so.
SHIFT = 0

# What makes a TCG guest start faster, or keeps its clock honest when the host is busy.
KERNEL_ARGUMENTS = (
    "rootfstype=virtiofs root=rootfs ro console=ttyS0 panic=-1 loglevel=4 "
    "mitigations=off nokaslr audit=0 apparmor=0 selinux=0 nowatchdog cryptomgr.notests "
    "tsc=reliable clocksource=tsc no_timer_check random.trust_cpu=on 8250.nr_uarts=1 "
    "net.ifnames=0 rcupdate.rcu_expedited=1"
)
CPU_MODEL = "max,erms=off,fsrm=off,fsrs=off,fzrm=off,la57=off"
"""All that QEMU can, but no fast `rep movsb`: it copies one byte at a time, and with these flags the kernel and libc
copy by nothing else. A test of the rig takes a quarter less of the host's processor so."""


class CannotStart(Exception):
    """The virtual machine cannot be started on this host; the text says why and what to do."""


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM_FOLDERS))


def usable_kernel(chosen: Path | None = None) -> Path:
    """Return the folder of the kernel to boot (`chosen`, or fetch-kernel's). Raises CannotStart."""
    packages = {name: package for name, package in (HOST_PROGRAMS | GUEST_PROGRAMS).items() if not find_program(name)}
    if packages:
        install = " ".join(dict.fromkeys(packages.values()))
        raise CannotStart(f"missing {', '.join(packages)}: sudo apt-get install --no-install-recommends {install}")
    kernel = chosen.resolve() if chosen else fetched(FETCH_KERNEL)
    kernel_image(kernel)
    return kernel


def fetched(*command: Path) -> Path:
    """Return the path that a program prints. Raises CannotStart with its own line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CannotStart(said[-1] if said else f"{command[0].name} failed")
    return Path(done.stdout.strip())


def kernel_image(kernel: Path) -> Path:
    """Return the kernel image in a folder that fetch-kernel made, or raise CannotStart."""
    image = kernel / "boot" / f"vmlinuz-{kernel.name}"
    if not image.is_file() or not (kernel / "lib" / "modules" / kernel.name).is_dir():
        raise CannotStart(f"{kernel} is no kernel folder of fetch-kernel's (boot/vmlinuz-*, lib/modules/*)")
    return image


def kernel_arguments(kernel: Path, modules: str) -> str:
    """Return the kernel's command line; what follows its `--` becomes guest-init's arguments."""
    words = [f"init={GUEST_INIT}", "--", str(kernel), *modules.split()]
    return " ".join([KERNEL_ARGUMENTS, *(f'"{word}"' if " " in word else word for word in words)])


def _serve_files(cleanup: contextlib.ExitStack, socket_path: Path, directory: Path, *options: str) -> None:
    """Run virtiofsd for one shared directory until `cleanup`; returns once its socket is there."""
    server = subprocess.Popen(
        [find_program("virtiofsd") or "virtiofsd", f"--socket-path={socket_path}", f"--shared-dir={directory}",
         "--sandbox=none", "--no-announce-submounts", "--log-level=error", *options],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # not as patient as the guest may be: its clock goes on while it waits for a file
    )  # fmt: skip
    cleanup.callback(server.wait)
    cleanup.callback(server.terminate)
    deadline = time.monotonic() + 60
    while not socket_path.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise CannotStart(f"virtiofsd for {directory} did not start")
        time.sleep(0.01)


def _qemu_command(kernel: Path, modules: str, memory: str, sockets: Mapping[str, Path], artifacts: Path) -> list[str]:
    """Return QEMU's command line: no default devices, a serial port (kernel log), a console (stdio)."""
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-machine", "q35,usb=off,smbus=off,sata=off,hpet=off,memory-backend=ram",
        "-accel", "tcg,thread=single,tb-size=512", "-icount", f"shift={SHIFT},sleep=on", "-rtc", "clock=vm",
        "-cpu", CPU_MODEL, "-m", memory,
        "-object", f"memory-backend-memfd,id=ram,size={memory},share=on",
        "-chardev", f"file,id=log,path={_escaped(artifacts / 'console.log')}", "-serial", "chardev:log",
        "-chardev", "stdio,id=console,signal=on",
        "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console",
        "-device", "virtio-rng-pci",
        "-kernel", str(kernel_image(kernel)),
        "-append", kernel_arguments(kernel, modules),
    ]  # fmt: skip
    for tag, socket_path in sockets.items():
        command += ["-chardev", f"socket,id={tag},path={_escaped(socket_path)}",
                    "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]  # fmt: skip
    return command


def _escaped(path: Path) -> str:
    """Write a path as the value of a QEMU option, where a comma would end it."""
    return str(path).replace(",", ",,")


def _guest_script(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what the guest's shell runs: the command in the same directory, replacing the shell."""
    lines = [f"cd {shlex.quote(str(Path.cwd()))} || exit {NEVER_REPORTED}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*lines, f"exec {shlex.join(command)}", ""])


def run(
    command: Sequence[str],
    artifacts: Path,
    *,
    timeout: float,
    kernel: Path | None = None,
    modules: str = "",
    memory: str = "2G",
    niceness: int = 0,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Boot the guest, run `command` in it as root, and return its exit status, TIMED_OUT or NEVER_REPORTED.

    The `modules` are loaded before. `timeout` counts seconds of boot and command together. QEMU is so much nicer than
    this process; what the guest reads is served by others, for which its clock does not wait. Raises CannotStart.
    """
    kernel = usable_kernel(kernel)
    artifacts = artifacts.resolve()
    artifacts.mkdir(parents=True, exist_ok=True)
    status_file = artifacts / "exit-status"
    status_file.unlink(missing_ok=True)
    (artifacts / "command").write_text(_guest_script(command, environment or {}))
    with contextlib.ExitStack() as cleanup:
        run_directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="run-in-vm-")))
        sockets = {"rootfs": run_directory / "rootfs.sock", "artifacts": run_directory / "artifacts.sock"}
        qemu = _qemu_command(kernel, modules, memory, sockets, artifacts)
        _serve_files(cleanup, sockets["rootfs"], Path("/"), "--readonly", "--cache=always")
        _serve_files(cleanup, sockets["artifacts"], artifacts, "--cache=never")
        guest = subprocess.Popen(["nice", "-n", str(niceness), *qemu], start_new_session=bool(niceness))
        if niceness:
            be_nice(guest.pid, niceness)
        try:
            guest.wait(timeout)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"run-in-vm: stopped after {timeout:.0f} s\n")
            return TIMED_OUT
        finally:
            guest.terminate()  # rather than kill: QEMU then puts the terminal back in order
            guest.wait()
    return int(status_file.read_text()) if status_file.exists() else NEVER_REPORTED


def be_nice(leader: int, niceness: int) -> None:
    """Let a session be so nice: where Linux shares processors among sessions first, niceness counts within one only."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{leader}/autogroup").write_text(str(niceness))


def _parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run-in-vm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", type=Path, help="a folder as fetch-kernel prints it (asked if not given)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds of the host, for boot and command together")
    parser.add_argument("--nice", type=int, default=0, help="of QEMU; what the guest reads is served as fast as ever")
    parser.add_argument("--modules", default="", help="kernel modules to load before the command")
    parser.add_argument("--artifacts", type=Path, help="host directory the guest may write to ($ARTIFACTS there)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for the command (repeatable)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    arguments = parser.parse_args()
    if arguments.command[:1] == ["--"]:
        del arguments.command[0]
    if not arguments.command:
        parser.error("no command given")
    if not all("=" in assignment for assignment in arguments.env):
        parser.error("--env takes NAME=VALUE")
    return arguments


def main() -> int:
    arguments = _parsed_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left running
    environment = dict(assignment.split("=", 1) for assignment in arguments.env)
    with tempfile.TemporaryDirectory(prefix="run-in-vm-") as unwanted:
        artifacts = arguments.artifacts or Path(unwanted)
        try:
            return run(
                arguments.command, artifacts, timeout=arguments.timeout, kernel=arguments.kernel,
                modules=arguments.modules, niceness=arguments.nice, environment=environment,
            )  # fmt: skip
        except CannotStart as problem:
            sys.stderr.write(f"run-in-vm: {problem}\n")
            return NEVER_REPORTED


if __name__ == "__main__":
    sys.exit(main())
