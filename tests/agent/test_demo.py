"""`liput demo`: the whole way on a machine that has nothing but the program."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support import archives, command, media
from tests.support.command import running
from tests.support.room import frames, program
from tests.support.sessions import faults
from tests.support.waiting import wait_for


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return a folder for temporary files that nobody else uses."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def package_of(output: str) -> Path:
    (line,) = re.findall(r"^Package: (.+)$", output, re.MULTILINE)
    return Path(line)


@pytest.mark.server
def test_it_records_streams_and_says_where(home: Path, temporary: Path) -> None:
    """The reserve of the settings is for lectures, and must not keep it from a small PC's /tmp."""
    settings = home / "liput.toml"
    settings.write_text('[archive]\nreserve = "900 TB"\n[video]\nprofile = "240p15"\nstep_down = false\n')
    done = command.liput(home, "demo", "--for", "4s", "--config", settings, more={"TMPDIR": str(temporary)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    package = package_of(done.stdout)
    assert frames(package) == 60
    archives.validate_bag(package)
    last = done.stdout.splitlines()[-3:]
    assert re.fullmatch(r"Streamed to nginx on this machine: [\d.]+ [kM]B arrived\.", last[0])
    assert f"ffplay '{package}/data/media/program.mp4'" in last[1]
    assert last[2].endswith(f" archive verify --all --archive '{package.parents[2]}'")
    # The archive is all that is left.
    assert list(temporary.iterdir()) == [package.parents[2]]
    assert [path for path in home.rglob("*") if "pulse" not in path.parts] == [settings]


WITHOUT_NGINX = """
from agent.cli import main
from agent.sessions import receiver
receiver.nginx_with_rtmp = lambda: None
main.main()
"""


def test_it_works_without_nginx_and_ffmpeg(home: Path, temporary: Path, tmp_path: Path) -> None:
    # nginx is looked for beyond the PATH: a PATH of its own is not enough to hide it.
    empty = tmp_path / "bin"
    empty.mkdir()
    words = ["demo", "--for", "500ms", "--profile", "240p15"]
    done = command.run_python(home, WITHOUT_NGINX, *words, more={"TMPDIR": str(temporary), "PATH": str(empty)})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No receiver is installed")
    assert "Streamed" not in done.stdout
    assert frames(package_of(done.stdout)) > 5


@pytest.mark.server
def test_ctrl_c_ends_it_without_leftovers_and_the_receiver_has_every_picture(
    home: Path, temporary: Path, tmp_path: Path
) -> None:
    words: list[str | Path] = ["demo", "--for", "1h", "--json", "--profile", "240p15", "--archive", tmp_path / "arsip"]
    copy = tmp_path / "received.flv"
    with running(home, *words, more={"TMPDIR": str(temporary)}) as session:
        session.until("event", kind="destination-live")
        # The receiver says yes to a publisher before it opens the file.
        (recording,) = wait_for(lambda: list(temporary.glob("liput-receiver-*/recorded/*.flv")))
        os.link(recording, copy)  # which stays when the receiver throws its own away
        session.interrupt_everything()
        session.signal(signal.SIGINT)
        assert session.wait() == 0, session.seen
        result = session.seen[-1]
    assert faults(result) == []
    media.decodes_cleanly(copy)
    recorded = media.decoded(program(Path(str(result["package"]))), "v").frames
    assert media.decoded(copy, "v").frames == recorded == result["frames"]
    wait_for(lambda: list(temporary.iterdir()) == [])


def test_what_cannot_be_done_leaves_nothing(home: Path, temporary: Path) -> None:
    done = command.liput(home, "demo", "--profile", "4k", more={"TMPDIR": str(temporary)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 2)
    assert list(temporary.iterdir()) == []
