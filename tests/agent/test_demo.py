"""`liput demo`: the whole way on a machine that has nothing but the program, and nothing set."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import archives, command, media
from tests.support.command import running
from tests.support.room import frames, program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("the demo drops no frame")

FPS = 30
"""Of the profile that holds where nothing is set."""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a home without anything in it."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return a folder for temporary files that nobody else uses."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def package_of(output: str) -> Path:
    (line,) = re.findall(r"^Package: (.+)$", output, re.MULTILINE)
    return Path(line)


@pytest.mark.server
def test_it_records_streams_and_says_where(bare: Path, temporary: Path) -> None:
    done = command.liput(bare, "demo", "--for", "2s", more={"TMPDIR": str(temporary)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    package = package_of(done.stdout)
    assert frames(package) == 2 * FPS
    archives.validate_bag(package)
    last = done.stdout.splitlines()[-3:]
    assert re.fullmatch(r"Streamed to nginx on this machine: [\d.]+ [kM]B arrived\.", last[0])
    assert f"ffplay '{package}/data/media/program.mp4'" in last[1]
    assert last[2].endswith(f" archive verify --all --archive '{package.parents[2]}'")
    # The archive is all that is left.
    assert list(temporary.iterdir()) == [package.parents[2]]
    assert not [path for path in bare.rglob("*") if "pulse" not in path.parts]


@pytest.mark.server
def test_the_receiver_gets_every_picture(bare: Path, temporary: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["demo", "--for", "3s", "--json", "--profile", "240p15", "--archive", tmp_path / "arsip"]
    copy = tmp_path / "received.flv"
    with running(bare, *words, more={"TMPDIR": str(temporary)}) as session:
        session.until("event", kind="destination-live")
        (recording,) = temporary.glob("liput-receiver-*/recorded/*.flv")
        os.link(recording, copy)  # which stays when the receiver throws its own away
        assert session.wait() == 0, session.seen
        result = session.seen[-1]
        errors = session.errors()
    assert (result["frames"], result["degraded"]) == (45, [])
    media.decodes_cleanly(copy)
    assert media.decoded(copy, "v").frames == 45
    assert f"{result['package']}/data/media/program.mp4" in errors
    assert list(temporary.iterdir()) == []


WITHOUT_NGINX = """
from agent.cli import main
from agent.sessions import receiver
receiver.nginx_with_rtmp = lambda: None
main.main()
"""


def test_it_works_without_nginx_and_ffmpeg(bare: Path, temporary: Path, tmp_path: Path) -> None:
    # nginx is looked for beyond the PATH: a PATH of its own is not enough to hide it.
    empty = tmp_path / "bin"
    empty.mkdir()
    words = ["demo", "--for", "1s", "--profile", "240p15"]
    done = command.run_python(bare, WITHOUT_NGINX, *words, more={"TMPDIR": str(temporary), "PATH": str(empty)})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No receiver is installed")
    assert "Streamed" not in done.stdout
    assert media.decoded(program(package_of(done.stdout)), "v").frames == 15


def test_the_ffmpeg_command_is_receiver_enough(bare: Path, temporary: Path) -> None:
    assert shutil.which("ffmpeg")
    done = command.run_python(
        bare, WITHOUT_NGINX, "demo", "--for", "2s", "--profile", "240p15", more={"TMPDIR": str(temporary)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^Streamed to ffmpeg on this machine: [\d.]+ [kM]B arrived\.$", done.stdout, re.MULTILINE)


@pytest.mark.server
def test_ctrl_c_ends_it_with_a_package_and_without_leftovers(bare: Path, temporary: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["demo", "--for", "1h", "--json", "--profile", "240p15", "--archive", tmp_path / "arsip"]
    with running(bare, *words, more={"TMPDIR": str(temporary)}) as session:
        session.until("event", kind="destination-live")
        session.interrupt_everything()
        session.signal(signal.SIGINT)
        assert session.wait() == 0, session.seen
        assert session.seen[-1]["degraded"] == []
    assert frames(Path(str(session.seen[-1]["package"]))) > 0
    wait_for(lambda: list(temporary.iterdir()) == [])


@pytest.mark.parametrize("words", [["--for", "3"], ["--profile", "4k"], ["--config", "nowhere.toml"]])
def test_what_cannot_be_done_leaves_nothing(bare: Path, temporary: Path, words: list[str]) -> None:
    done = command.liput(bare, "demo", *words, more={"TMPDIR": str(temporary)})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 2
    assert list(temporary.iterdir()) == []


def test_a_small_temporary_disk_is_large_enough(bare: Path, temporary: Path) -> None:
    """A reserve made for lectures must not keep the demo from a small PC's /tmp."""
    settings = bare / "liput.toml"
    settings.write_text('[archive]\nreserve = "900 TB"\n')
    words: list[str | Path] = ["demo", "--for", "500ms", "--profile", "240p15", "--config", settings]
    done = command.liput(bare, *words, more={"TMPDIR": str(temporary)})
    assert done.returncode == 0, done.stderr
    with running(bare, *words, "--archive", temporary / "arsip", "--json") as refused:
        assert refused.until("error")["message"]
        assert refused.wait() == 1
    assert not (temporary / "arsip").exists()
