"""What run-in-vm and fetch-kernel promise to whoever calls them on the host."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.rig import vm

VERSION = "6.12.1+deb13-amd64"


@pytest.mark.vm
def test_a_machine_that_runs_too_long_is_stopped(tmp_path: Path) -> None:
    words = (vm.HERE / "run-in-vm", "--artifacts", tmp_path / "out", "--timeout", "2", "--", "sleep", "1000")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
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
    brings = "sudo apt-get install --no-install-recommends qemu-system-x86 virtiofsd kmod iproute2 udev"
    with pytest.raises(vm.CannotStart, match=f"missing qemu-system-x86_64, .*: {brings}"):
        vm.usable_kernel()


# The kernel's cache


def make_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def fetch_kernel(cache: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """Run fetch-kernel with this cache, and with these programs before the system's."""
    environment = {"LIPUT_RIG_CACHE": str(cache), "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run([vm.FETCH_KERNEL], env=environment, capture_output=True, text=True, check=False)


def test_the_newest_cached_kernel_needs_no_apt(tmp_path: Path) -> None:
    for version in ("6.9.5-amd64", VERSION, "6.12-amd64"):
        (tmp_path / version / "boot").mkdir(parents=True)
        (tmp_path / version / "boot" / f"vmlinuz-{version}").touch()
    (tmp_path / ".new-abcdef" / "x" / "boot").mkdir(parents=True)  # a download that was killed
    for name in ("apt-get", "apt-cache"):
        make_program(tmp_path / "programs", name, "exit 99")
    done = fetch_kernel(tmp_path, tmp_path / "programs")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / VERSION}\n", "")


KNOWN = f"""echo 'Package: linux-image-amd64
Depends: linux-image-{VERSION} (= 6.12.1-1)'"""


@pytest.mark.parametrize(
    ("apt_cache", "apt_get", "said"),
    [
        ("exit 100", "", "apt knows no linux-image-amd64: run 'sudo apt-get update'"),
        (KNOWN, "echo 'E: Temporary failure resolving mirror.invalid' >&2; exit 100",
         f"cannot download linux-image-{VERSION}: E: Temporary failure resolving mirror.invalid; check the network"),
    ],
)  # fmt: skip
def test_a_failed_fetch_says_why_and_leaves_nothing(tmp_path: Path, apt_cache: str, apt_get: str, said: str) -> None:
    programs, cache = tmp_path / "programs", tmp_path / "cache"
    make_program(programs, "apt-cache", apt_cache)
    make_program(programs, "apt-get", apt_get)
    done = fetch_kernel(cache, programs)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("fetch-kernel: ")
    assert said in done.stderr.splitlines()[-1]
    assert [path.name for path in cache.glob("*")] in ([], ["lock"])
