"""Ctrl-C while a command begins: it ends as any other program does, and prints nothing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import command

SLOW = """
import os, time
os.write(3, b"x")
time.sleep(60)
"""


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(
    ("library", "words"), [("click", ("token",)), ("resource", ("--help",)), ("msgspec", ("archive", "list"))]
)
def test_while_its_libraries_are_loaded_it_ends_silently(
    tmp_path: Path, library: str, words: tuple[str, ...], *, ignored: bool
) -> None:
    """Libraries in C make errors of their own of an interrupt; what is ignored, as under nohup, stays so."""
    (tmp_path / f"{library}.py").write_text(
        SLOW if not ignored else SLOW.replace("60", "0.5") + "raise SystemExit(7)\n"
    )
    variables = command.environment(tmp_path)
    variables["PYTHONPATH"] = f"{tmp_path}:{variables['PYTHONPATH']}"
    here, there = os.pipe()

    def become() -> None:
        os.dup2(there, 3)
        os.set_inheritable(3, True)
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)

    process = subprocess.Popen(
        [*command.LIPUT, *words], env=variables, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=become, pass_fds=(3,) if there == 3 else (), close_fds=False,
    )  # fmt: skip
    os.close(there)
    assert os.read(here, 1) == b"x"
    process.send_signal(signal.SIGINT)
    written = process.communicate(timeout=30)
    os.close(here)
    assert (process.returncode, written) == (7 if ignored else -signal.SIGINT, (b"", b""))


def test_a_command_that_runs_can_clean_up_after_it(tmp_path: Path) -> None:
    asked = "import os, signal, click\nfrom agent.commands import token\n"
    code = f"""
{asked}
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("it was not interrupted")
token.read_token = interrupted
from agent.cli import main
main.main()
"""
    done = command.run_python(tmp_path, code, "token")
    assert (done.returncode, "Traceback" in done.stderr, "AssertionError" in done.stderr) == (1, False, False)
