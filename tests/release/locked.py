"""What uv.lock has Liput installed with, and the uv that installs it."""

import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Package(NamedTuple):
    """A package of the lock."""

    name: str
    version: str


def uv(*words: str | Path, **more: str) -> bytes:
    """Run the uv that installs what is locked, with `more` environment; return what it writes.

    Raises CalledProcessError.
    """
    command = (ROOT / "run", "uv", *words)
    return subprocess.run(
        command, env=os.environ | more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout


def runtime(lock: Path = ROOT / "uv.lock") -> list[Package]:
    """Return what Liput needs when it runs, on whatever system, with all extras; by name."""
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for package in tomllib.loads(lock.read_text())["package"]:
        packages.setdefault(package["name"], []).append(package)
    waiting = {("liput", extra) for extra in ("", *packages["liput"][0]["optional-dependencies"])}
    found = set()
    while waiting:
        wanted = waiting.pop()
        found.add(wanted)
        waiting |= {needed for package in packages[wanted[0]] for needed in _needed(package, wanted[1])} - found
    names = {name for name, _ in found} - {"liput"}
    return sorted(Package(name, package["version"]) for name in names for package in packages[name])


def _needed(package: Mapping[str, Any], extra: str) -> Iterator[tuple[str, str]]:
    """Yield what one extra of a package needs, "" for the package itself: names, each with an extra or with ""."""
    needed = package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
    for one in needed:
        yield one["name"], ""
        yield from ((one["name"], its_extra) for its_extra in one.get("extra", ()))
