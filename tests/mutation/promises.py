"""Breaks each promise of docs/architecture.md on purpose, in a copy of the tree: its test must fail then."""

import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec

from tests.mutation.copied import CopiedTree

PROMISES = Path(__file__).with_name("promises.toml")


class Promise(msgspec.Struct, frozen=True):
    """A promise, the change that breaks it (`old` becomes `new` in `module`), and the test that notices."""

    promise: str
    module: str
    old: str
    new: str
    test: str

    def source(self, root: Path) -> str:
        """Return the module with the change; `old` stands there once, else ValueError."""
        before = (root / self.module).read_text()
        if before.count(self.old) != 1:
            raise ValueError(f"{self.module} has {before.count(self.old)} times: {self.old}")
        return before.replace(self.old, self.new)


def promises(path: Path = PROMISES) -> list[Promise]:
    """Return all of them."""
    return msgspec.convert(tomllib.loads(path.read_text())["promise"], list[Promise])


def break_promises(root: Path, match: str = "") -> int:
    """Break them one after the other; return 1 where a test did not notice."""
    status = 0
    with CopiedTree.of(root) as tree:
        for each in promises():
            if match not in f"{each.promise} {each.module} {each.test}":
                continue
            with tree.changed(Path(each.module), each.source(root)):
                words = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", each.test)
                done = subprocess.run(
                    words, cwd=tree.root, env=tree.environment, capture_output=True, text=True, check=False
                )
            noticed = " failed" in (done.stdout.splitlines() or [""])[-1]
            status |= not noticed
            print(f"{'noticed' if noticed else 'NOT NOTICED'}  {each.promise}  [{each.test}]", flush=True)
            if not noticed:
                print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", flush=True)
    return status
