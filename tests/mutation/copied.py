"""A copy of the tree, in which a module is changed and its tests are run; the work tree is never touched."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

WARM = Path(__file__).with_name("warm.py")
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "dist")


class Outcome(msgspec.Struct, frozen=True):
    """How a run of tests ended."""

    code: int | None  # what pytest said; None where it could not say anything more
    failed: str | None  # the test that failed first
    ran: tuple[str, ...]
    left_out: tuple[str, ...]  # those of the same files that did not run
    in_time: bool
    seconds: float
    output: str


class CopiedTree:
    """The copy, and the process that runs tests in it."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], environment: Mapping[str, str]) -> None:
        """`folder` has the copy, in `tree`; `environment` is that of programs in it."""
        self.root = folder / "tree"
        self.environment = environment
        self._scratch = folder / "scratch"
        self._process = process

    @classmethod
    @contextmanager
    def of(cls, root: Path) -> Iterator[Self]:
        """Copy the tree at `root`; the copy is gone at the end."""
        with tempfile.TemporaryDirectory(prefix="liput-mutation-") as name:
            folder = Path(name)
            shutil.copytree(root, folder / "tree", symlinks=True, ignore=LEFT_BEHIND)
            # Before the work tree, which is among the installed packages; for what the tests start, too.
            environment = os.environ | {"PYTHONPATH": str(folder / "tree"), "PYTHONSAFEPATH": "1"}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            with subprocess.Popen(
                [sys.executable, str(WARM)],
                cwd=folder / "tree",
                env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                try:
                    yield cls(folder, process, environment)
                finally:
                    process.kill()

    @contextmanager
    def changed(self, module: Path, source: str) -> Iterator[None]:
        """Let the module have another `source` meanwhile."""
        path = self.root / module
        original = path.read_bytes()
        _replace(path, source.encode())
        try:
            yield
        finally:
            _replace(path, original)

    def run(
        self, files: Sequence[Path], *, limit: float = 600.0, budget: float | None = None, left_out: Sequence[str] = ()
    ) -> Outcome:
        """Run the tests in `files` but for those that are `left_out`; after `budget` seconds no more of them begin."""
        order = {"files": list(map(str, files)), "left_out": left_out, "budget": budget, "limit": limit}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order | {"scratch": str(self._scratch)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that runs the tests has ended")
        return msgspec.json.decode(answer, type=Outcome)


def _replace(path: Path, source: bytes) -> None:
    """Write a module anew, and forget it compiled: one of the same second and size would be taken for it."""
    path.write_bytes(source)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
