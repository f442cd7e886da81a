"""Who holds a device, and what the kernel's refusals say to people."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.monitor import holders

NODE = "/dev/full"
"""A character device that hardly anybody has open."""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Provide a process that has the node open, by another name of it."""
    link = tmp_path / "by-id"
    link.symlink_to(NODE)
    script = "import sys; held = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, str(link)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def test_the_holder_of_a_node_is_named(holder: subprocess.Popen[str]) -> None:
    command = Path(f"/proc/{holder.pid}/comm").read_text().strip()
    assert holders.Holder(holder.pid, command) in holders.holders(NODE)
    error = holders.device_open_error(errno.EBUSY, "Webcam", NODE)
    assert error.why == "busy"
    assert f"pid {holder.pid} ({command})" in error.message
    assert error.message.startswith(f"Webcam ({NODE}) is used by ")


def test_whether_a_process_still_has_a_node_open(holder: subprocess.Popen[str]) -> None:
    who = holders.Holder(holder.pid, "python")
    assert holders.have_open([who], NODE)
    assert not holders.have_open([who], "/dev/null/none")
    assert not holders.have_open([who, holders.Holder(1 << 23, "nobody")], NODE)
    holder.communicate()
    assert not holders.have_open([who], NODE)


def test_who_looks_at_every_process_leaves_no_names_of_them_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: set[str] = set()
    intern = sys.intern

    def keep(name: str) -> str:
        kept.add(name)
        return intern(name)

    monkeypatch.setattr(sys, "intern", keep)
    Path(f"/proc/{os.getpid()}").name  # noqa: B018 - the parts of a path are kept
    assert str(os.getpid()) in kept
    kept.clear()
    holders.holders(NODE)
    assert "1" not in kept
    assert len(kept) < 10, "however many processes there are"


def test_a_session_of_ours_is_called_that_its_sound_child_too(tmp_path: Path) -> None:
    code = "import sys; held = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    (tmp_path / "capture" / "sound").mkdir(parents=True)
    for package in ("capture", "capture/sound"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "capture" / "sound" / "child.py").write_text(code)
    words = [sys.executable, "-m", "capture.sound.child", NODE]
    path = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        words, cwd=tmp_path, env=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert holders.Holder(child.pid, "liput") in holders.holders(NODE)
        child.stdin.close() if child.stdin else None
    session = [holders.Holder(41, "liput"), holders.Holder(52, "liput")]
    error = holders.device_in_use_error("Stick", "/dev/video0", session)
    assert error.message == "Stick (/dev/video0) is in use by a session of Liput (pid 41, 52)"
    mixed = holders.device_in_use_error("Stick", "/dev/video0", [*session, holders.Holder(60, "zoom")])
    assert mixed.message == "Stick (/dev/video0) is used by pid 41 (liput), pid 52 (liput), pid 60 (zoom)"


def test_our_own_hold_is_told_from_others() -> None:
    fd = os.open(NODE, os.O_RDONLY)
    try:
        assert os.getpid() in [found.pid for found in holders.holders(NODE)]
        if all(found.pid == os.getpid() for found in holders.holders(NODE)):
            assert "Liput itself" in holders.device_busy_error("Webcam", NODE).message
    finally:
        os.close(fd)


def test_several_nodes_are_looked_for_at_once_and_own_processes_are_known(holder: subprocess.Popen[str]) -> None:
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        found = holders.holders_of([NODE, "/dev/zero", "/dev/is-not-there"])
    finally:
        os.close(fd)
    assert holder.pid in [one.pid for one in found[NODE]]
    assert os.getpid() in [one.pid for one in found["/dev/zero"]]
    assert "/dev/is-not-there" not in found
    own = [holders.Holder(pid, "") for pid in (os.getpid(), holder.pid)]
    others = [holders.Holder(pid, "") for pid in (1, 2**22 + 1)]
    assert [holders.is_own(one) for one in own + others] == [True, True, False, False]


def test_a_holder_that_this_user_may_not_see_is_another_program() -> None:
    assert "another program" in holders.device_busy_error("Webcam", "/dev/is-not-there").message
    assert holders.holders("/dev/is-not-there") == []


@pytest.mark.parametrize(
    ("code", "why", "word"),
    [
        (errno.ENODEV, "missing", "not at"),
        (errno.ENOENT, "missing", "not at"),
        (errno.EIO, "lost", "does not answer"),
        (errno.ETIMEDOUT, "lost", "does not answer"),
        (errno.EINVAL, "unsupported", "refuses"),
        (errno.ENOSPC, "bus-full", "this USB bus is full"),
        (errno.EACCES, "denied", "may not open"),
    ],
)
def test_each_refusal_says_what_happened_to_what(code: int, why: str, word: str) -> None:
    error = holders.device_open_error(code, "Webcam", "/dev/video7")
    assert error.why == why
    assert word in error.message
    assert "Webcam" in error.message
    assert "/dev/video7" in error.message
    assert error.hint


def test_a_full_bus_names_what_else_is_on_it_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = holders.device_open_error(errno.ENOSPC, "Webcam", "/dev/video7")
    assert alone.message == "this USB bus is full: Webcam (/dev/video7) gets no room"
    monkeypatch.setattr(
        holders, "streaming_neighbours", lambda _: ["Logitech C920 (port 1-1.2)", "MS2109 (port 1-1.3)"]
    )
    beside = holders.device_open_error(errno.ENOSPC, "Webcam", "/dev/video7")
    assert beside.message == f"{alone.message} beside Logitech C920 (port 1-1.2), MS2109 (port 1-1.3)"
    assert alone.hint == beside.hint == "Move one device to another port or use MJPEG."


@pytest.mark.parametrize(("node", "group"), [("/dev/video7", "video"), ("/dev/snd/pcmC9D0c", "audio"), (NODE, "video")])
def test_who_may_not_open_a_node_is_told_the_group_and_the_command(node: str, group: str) -> None:
    assert f'sudo usermod -aG {group} "$USER"' in holders.device_denied_error("Webcam", node).hint
    tty = holders.device_denied_error("Terminal", "/dev/tty")
    assert "usermod -aG" in tty.hint


def test_a_lost_device_keeps_the_reason_that_says_something() -> None:
    assert holders.device_lost_error("Webcam", "/dev/video0", errno.ENODEV).message == "Webcam (/dev/video0) was lost"
    assert holders.device_lost_error("Webcam", "/dev/video0", errno.EIO).message.endswith(
        "was lost: Input/output error"
    )
