"""How the command line ends: after a bug, and at Ctrl-C at any moment."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from agent.cli import group
from tests.support import command


def test_a_bug_ends_a_command_with_its_place_and_without_a_traceback_or_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ValueError("no way with passphrase=rahasia123")

    monkeypatch.setattr(group.liput, "main", broken)
    for function in ("end_silently", "_make_output_printable"):
        monkeypatch.setattr(group, function, lambda: None)
    monkeypatch.setattr("sys.argv", ["liput", "status", "--json"])
    with pytest.raises(SystemExit) as ended:
        group.run()
    printed = capsys.readouterr()
    message = json.loads(printed.out)["message"]
    assert re.fullmatch(r"ValueError\('no way with passphrase=\(hidden\)'\) at agent/cli/group\.py:\d+", message)
    assert printed.err.splitlines() == [f"liput: {message}", "       please report this"]
    assert ended.value.code == 1


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
