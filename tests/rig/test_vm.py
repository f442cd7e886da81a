"""What run-in-vm and fetch-kernel promise to whoever calls them on the host."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.rig import vm
from tests.support.processes import slowness

VERSION = "6.12.1+deb13-amd64"


def run_in_vm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [vm.HERE / "run-in-vm", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def make_kernel(cache: Path, version: str = VERSION) -> Path:
    """Make a folder that looks as one of fetch-kernel's does."""
    kernel = cache / version
    (kernel / "lib" / "modules" / version).mkdir(parents=True)
    (kernel / "boot").mkdir()
    (kernel / "boot" / f"vmlinuz-{version}").touch()
    return kernel


def make_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def fetch_kernel(cache: Path, *arguments: str, programs: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run fetch-kernel with this cache, and with these programs before the system's."""
    path = f"{programs}:{os.environ['PATH']}" if programs else os.environ["PATH"]
    return subprocess.run(
        [vm.FETCH_KERNEL, *arguments], env={"LIPUT_RIG_CACHE": str(cache), "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The machine


@pytest.mark.vm
@pytest.mark.timeout(900)
def test_the_command_runs_there_and_only_the_artifacts_come_back(tmp_path: Path) -> None:
    here = tmp_path / "a folder, with a comma"
    here.mkdir()
    (here / "file").write_text("the host's")
    script = f"""
        cat '{here}/file'; echo the guest\\'s > '{here}/file'; rm '{vm.GUEST_INIT}'
        echo "$WHO is $(id -u) in $HOME" > $ARTIFACTS/report
        modprobe vhci-hcd && test -e /sys/devices/platform/vhci_hcd.0 || exit 1
        exit 7
    """
    done = run_in_vm("--artifacts", here / "out", "--env", "WHO=an operator", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, "the host's", "")
    assert (here / "out" / "report").read_text() == "an operator is 0 in /run/home\n"
    assert (here / "file").read_text() == "the host's"
    assert vm.GUEST_INIT.exists()
    assert "run-in-vm: running the command" in (here / "out" / "kernel.log").read_text()


@pytest.mark.vm
@pytest.mark.timeout(900)
def test_a_machine_that_runs_too_long_is_stopped(tmp_path: Path) -> None:
    done = run_in_vm("--artifacts", tmp_path / "out", "--timeout", "2", "--", "sleep", "1000")
    assert (done.returncode, done.stderr.splitlines()[0]) == (vm.TIMED_OUT, "run-in-vm: stopped after 2 s")
    assert not [entry for entry in Path("/proc").glob("[0-9]*") if str(tmp_path) in _command_line(entry)]


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:  # ended meanwhile
        return ""


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(vm.CannotStart) as caught:
        vm.usable_kernel()
    assert str(caught.value) == (
        "missing qemu-system-x86_64, virtiofsd, modprobe, ip, udevadm, systemd-udevd: sudo apt-get install"
        " --no-install-recommends qemu-system-x86 virtiofsd kmod iproute2 udev"
    )


def test_a_folder_without_a_kernel_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run_in_vm("--kernel", tmp_path, "--", "true")
    assert done.returncode == vm.NEVER_REPORTED
    assert done.stderr.startswith(f"run-in-vm: {tmp_path} is no kernel folder")
    assert done.stderr.count("\n") == 1


def test_kernel_arguments_keep_paths_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "GUEST_INIT", Path("/my checkout/guest-init"))
    line = vm.kernel_arguments(Path("/my cache/6.12"), "vhci-hcd  uvcvideo")
    assert line.endswith(' "init=/my checkout/guest-init" -- "/my cache/6.12" vhci-hcd uvcvideo')
    with pytest.raises(vm.CannotStart, match="too long"):
        vm.kernel_arguments(Path("/" + "x" * 2000), "")
    with pytest.raises(vm.CannotStart, match='no path with a " in it'):
        vm.kernel_arguments(Path('/a "cache"'), "")


# The kernel's cache


def test_a_cached_kernel_needs_no_apt(tmp_path: Path) -> None:
    for version in ("6.9.5-amd64", VERSION, "6.12-amd64"):
        make_kernel(tmp_path, version)
    (tmp_path / ".new-abcdef" / "x" / "boot").mkdir(parents=True)  # a download that was killed
    apt = tmp_path / "programs"
    make_program(apt, "apt-get", "exit 99")
    make_program(apt, "apt-cache", "exit 99")
    began = time.process_time(), os.times().children_user
    done = fetch_kernel(tmp_path, programs=apt)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / VERSION}\n", "")
    assert time.process_time() - began[0] + os.times().children_user - began[1] < 0.1 * slowness()


KNOWN = f"""echo 'Package: linux-image-amd64
Depends: linux-image-{VERSION} (= 6.12.1-1)'"""


@pytest.mark.parametrize(
    ("apt_cache", "apt_get", "said"),
    [
        ("exit 100", "", "apt knows no linux-image-amd64: run 'sudo apt-get update'"),
        (KNOWN, "echo 'E: Temporary failure resolving mirror.invalid' >&2; exit 100",
         f"cannot download linux-image-{VERSION}: E: Temporary failure resolving mirror.invalid; check the network"),
        (KNOWN, "echo junk > linux-image-1.deb", f"cannot unpack linux-image-{VERSION}"),
    ],
)  # fmt: skip
def test_a_failed_fetch_says_why_and_leaves_nothing(tmp_path: Path, apt_cache: str, apt_get: str, said: str) -> None:
    programs, cache = tmp_path / "programs", tmp_path / "cache"
    make_program(programs, "apt-cache", apt_cache)
    make_program(programs, "apt-get", apt_get)
    done = fetch_kernel(cache, programs=programs)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("fetch-kernel: ")
    assert said in done.stderr.splitlines()[-1]
    assert not cache.exists() or names_in(cache) == ["lock"]


def test_two_fetches_at_once_download_once(tmp_path: Path) -> None:
    programs, cache, tree = tmp_path / "programs", tmp_path / "cache", tmp_path / "tree"
    make_program(programs, "apt-cache", KNOWN)
    make_program(programs, "apt-get", f"echo one >> {tmp_path}/downloads; touch linux-image-1.deb")
    unpacked = make_kernel(tree)
    make_program(programs, "dpkg", f'[ $1 != -x ] && echo amd64 || cp -a {unpacked}/. "$3"/')
    make_program(programs, "depmod", "true")
    environment = {"LIPUT_RIG_CACHE": str(cache), "PATH": f"{programs}:{os.environ['PATH']}"}
    fetches = [subprocess.Popen([vm.FETCH_KERNEL], env=environment, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    assert [fetch.communicate()[0] for fetch in fetches] == [f"{cache / VERSION}\n"] * 2
    assert (tmp_path / "downloads").read_text() == "one\n"
    assert names_in(cache) == [VERSION, "lock"]
