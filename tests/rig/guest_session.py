"""The host's side of the guest tests: virtual machines that run them, and what became of each."""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.rig.sampling import shared
from tests.rig.vm import FETCH_LOOPBACK, NEVER_REPORTED, PATIENT, TIMED_OUT, CannotStart, fetched, usable_kernel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = "vhci-hcd uvcvideo snd-usb-audio"
RESULTS, TESTS, OUTPUT = "results.jsonl", "tests", "output.log"  # files among the artifacts
LONGEST_RUN_SECONDS = 4800  # boot and all tests; each test has pytest-timeout's limit in the guest
PRODUCT = ("agent", "capture", "config", "devices", "recorder")
NEEDED = ("av", "click", "msgspec", "numpy", "psutil", "pyudev", "rich", "tomlkit")
"""Packages that commands in the guest load."""
LOOPBACK_FOR = "virtual_camera"  # in the name of a test that needs v4l2loopback, which is built for it


@dataclasses.dataclass
class Outcome:
    """What became of one test: `failure` is empty if it passed."""

    failure: str = ""
    sections: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    finished: bool = False

    def add(self, result: dict[str, object]) -> None:
        """Take in one phase of the test; anything but a pass is a failure, a skip too."""
        if result["outcome"] != "passed" and not self.failure:
            self.failure = f"{result['outcome']} in the guest ({result['when']})\n{result['text']}"
            self.sections = [(title, text) for title, text in result["sections"]]  # type: ignore[attr-defined] # JSON
        self.finished = self.finished or result["when"] == "teardown"


class GuestSessions:
    """The machines that run `tests` (node ids, FILE::TEST): each keeps a processor busy, and has whole files."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._shares = shared(tests, min(2, len(os.sched_getaffinity(0))))
        self._sessions: dict[str, GuestSession] = {}

    def start(self) -> None:
        """Boot them all; else they boot when the first test is waited for."""
        if not self._sessions:
            for share in self._shares:
                self._sessions |= dict.fromkeys(share, GuestSession(share))

    def outcome(self, test: str) -> Outcome:
        """Wait until `test` has ended, or its machine has."""
        self.start()
        return self._sessions[test].outcome(test)

    def close(self) -> None:
        for session in set(self._sessions.values()):
            session.close()


class GuestSession:
    """One boot of the virtual machine that runs `tests` in their order.

    `close` removes its folder (README.md says what is in it), unless a test failed or $LIPUT_RIG_ARTIFACTS is set.
    """

    def __init__(self, tests: Sequence[str]) -> None:
        chosen = os.environ.get("LIPUT_RIG_ARTIFACTS")
        if chosen:
            Path(chosen).mkdir(parents=True, exist_ok=True)
        self.artifacts = Path(tempfile.mkdtemp(prefix="liput-vm-", dir=chosen))
        self._keep = bool(chosen)
        self._told = False  # how the guest ended, if it did before its time
        self._problem = ""  # why no machine could be started
        self._machine: subprocess.Popen[bytes] | None = None
        self._outcomes: dict[str, Outcome] = {}
        self._read = 0  # bytes of the results taken in so far
        (self.artifacts / RESULTS).write_bytes(b"")
        (self.artifacts / TESTS).write_text("".join(f"{test}\n" for test in tests))
        try:
            kernel = usable_kernel()
            if any(LOOPBACK_FOR in test for test in tests):
                fetched(FETCH_LOOPBACK, kernel)
        except CannotStart as problem:
            self._problem = f"the virtual machine cannot be started: {problem}"
            return
        compile_python()
        with (self.artifacts / OUTPUT).open("wb") as output:
            self._machine = subprocess.Popen(
                self._command(kernel),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _command(self, kernel: Path) -> list[str]:
        # Each plugin costs seconds to import there.
        environment = f"PYTHONPATH={ROOT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", f"LIPUT_RIG_RESULTS={RESULTS}"
        pytest = (
            f"{shlex.quote(sys.executable)} -m pytest -p pytest_timeout -p no:cacheprovider"
            f' "--junitxml=$ARTIFACTS/junit.xml" "@$ARTIFACTS/{TESTS}"'  # another path there than here
        )
        return [
            sys.executable, str(HERE / "vm.py"), "--kernel", str(kernel), "--modules", MODULES,
            "--nice", str(PATIENT),
            "--artifacts", str(self.artifacts), "--timeout", str(LONGEST_RUN_SECONDS),
            *(f"--env={variable}" for variable in environment),
            "--", "sh", "-c", f"exec {pytest}",
        ]  # fmt: skip

    def outcome(self, test: str) -> Outcome:
        """Wait until `test` has ended, or the guest has; the machine's own time limit bounds this."""
        if self._machine is None:
            return Outcome(self._problem)
        while True:
            status = self._machine.poll()  # before reading: what a guest wrote before it ended is there then
            self._take_in_results()
            outcome = self._outcomes.get(test, Outcome())
            if not outcome.finished and status is not None:
                outcome.failure = outcome.failure or self._not_run(status)
                outcome.finished = True
            if outcome.finished:
                if not outcome.failure:
                    return outcome
                self._keep = True
                where = f"\n\nThe guest's logs are in {self.artifacts}"
                return dataclasses.replace(outcome, failure=outcome.failure + where)
            time.sleep(0.1)

    def _take_in_results(self) -> None:
        with (self.artifacts / RESULTS).open("rb") as results:
            results.seek(self._read)
            data = results.read()
        whole = data[: data.rfind(b"\n") + 1]  # the last line may still be on its way
        self._read += len(whole)
        for line in whole.splitlines():
            result = json.loads(line)
            self._outcomes.setdefault(result["test"], Outcome()).add(result)

    def _not_run(self, status: int) -> str:
        """Say why there is no result: what was printed last, and the console if the kernel said anything."""
        what = f"the guest ended with status {status} before this test had run to its end"
        if self._told:
            return f"{what}: see the first test of which this is said"
        self._told = True
        printed = (self.artifacts / OUTPUT).read_text(errors="replace").splitlines()
        console = self.artifacts / "console.log"
        if status in (TIMED_OUT, NEVER_REPORTED) and console.exists():
            printed += ["-- console:", *console.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join([what, *printed[-30:]])

    def close(self) -> None:
        """End the machine if it still runs and remove what nobody needs."""
        if self._machine:
            self._machine.terminate()  # does nothing to one that has ended
            self._machine.wait()
        if not self._keep:
            shutil.rmtree(self.artifacts, ignore_errors=True)


def compile_python() -> None:
    """Compile what the guest imports beside the tests, unless it is compiled: here that takes a tenth of the time."""
    packages = Path(sysconfig.get_path("purelib"))
    folders = [ROOT / name for name in PRODUCT] + [packages / name for name in NEEDED]
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", *map(str, folders)]
    subprocess.run(["nice", "-n", str(PATIENT), *command], check=False)  # others may not write there
