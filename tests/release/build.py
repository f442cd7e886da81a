"""`./run build`: what is committed as a source archive and a wheel, the same bytes each time, with an SBOM."""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.release import licences
from tests.release.licences import ROOT, Package, uv
from tests.support.command import environment

SUMS = "SHA256SUMS"


def main() -> int:
    """Build what is committed, and try the wheel; return the exit status."""
    parser = argparse.ArgumentParser(prog="./run build", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", metavar="FOLDER", help="default: dist")
    folder: Path = parser.parse_args().to.absolute()
    if _git(ROOT, "status", "--porcelain"):
        print("run: what is not committed is left out", file=sys.stderr)
    built = build(ROOT, folder)
    try_wheel(next(path for path in built if path.suffix == ".whl"))
    print((folder / SUMS).read_text(), end="")
    return 0


def build(clone: Path, folder: Path) -> Sequence[Path]:
    """Build what is committed in a clone into a folder; return the files. Raises CalledProcessError."""
    made_s = int(_git(clone, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory(prefix="liput-build-") as temporary:
        tree, out = Path(temporary, "tree"), Path(temporary, "out")
        _unpack_commit(clone, tree)
        here = ("--no-build-isolation", "--python", sys.executable)
        uv("build", "--quiet", *here, "-o", out, tree, SOURCE_DATE_EPOCH=str(made_s))
        (wheel,) = out.glob("*.whl")
        bill = out / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
        bill.write_bytes(sbom(tree, made_s))
        made = sorted(path for path in out.iterdir() if not path.name.startswith("."))
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SUMS).write_text("".join(sums))
        for path in made:
            (folder / path.name).write_bytes(path.read_bytes())
    return [folder / path.name for path in made]


def _unpack_commit(clone: Path, tree: Path) -> None:
    with subprocess.Popen(["git", "-C", clone, "archive", "HEAD"], stdout=subprocess.PIPE) as git:
        with tarfile.open(fileobj=git.stdout, mode="r|") as archive:
            archive.extractall(tree, filter="data")
        if git.wait():
            raise subprocess.CalledProcessError(git.returncode, git.args)


def _git(clone: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", clone, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def sbom(tree: Path, made_s: int) -> bytes:
    """Return the SBOM, in CycloneDX's JSON, of all in a lock that Liput needs when it runs. Raises what page() does."""
    kind = ("--format", "cyclonedx1.5", "--preview-features", "sbom-export")
    bill = json.loads(uv("export", "--frozen", "--quiet", "--project", tree, "--no-dev", "--all-extras", *kind))
    bill["metadata"]["timestamp"] = datetime.fromtimestamp(made_s, UTC).isoformat()
    bill["metadata"]["component"] |= _under("GPL-3.0-or-later")
    for component in bill["components"]:
        component |= _looked_up(Package(component["name"], component["version"]))
    del bill["serialNumber"]
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill))}"
    return json.dumps(bill, indent=2, ensure_ascii=False).encode() + b"\n"


def _looked_up(package: Package) -> dict[str, Any]:
    """Return what is found where a package is installed; nothing of those for other systems."""
    found = licences.distribution_of(package)
    if not found:
        return {}
    carried = [
        {"type": "library", "bom-ref": f"{package.name}#{library}", "name": library} | _under(licence)
        for library, licence in licences.carried_by(package.name, found)
    ]
    return _under(licences.licence_of(found)) | ({"components": carried} if carried else {})


def _under(expression: str) -> dict[str, Any]:
    return {"licenses": [{"expression": expression}]}


def try_wheel(wheel: Path) -> None:
    """Install a wheel with what is locked into an environment of its own, and record with it."""
    with tempfile.TemporaryDirectory(prefix="liput-wheel-") as temporary:
        folder = Path(temporary)
        python, locked = folder / "venv/bin/python", folder / "locked.txt"
        uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
        uv("export", "--frozen", "--quiet", "--no-dev", "--all-extras", "--no-emit-project", "-o", locked)
        uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", locked)
        uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
        try_program(folder / "venv/bin/liput", folder / "home")


def try_program(program: Path, home: Path) -> None:
    """Record, stream and verify with an installed `liput`, in a new and empty home. Raises CalledProcessError."""
    home.mkdir()
    for words in (
        ("--version",),
        ("demo", "--for", "2s", "--profile", "480p15", "--archive", "archive"),
        ("archive", "verify", "--all", "--archive", "archive"),
    ):
        installed = environment(home, {"PYTHONPATH": ""})
        subprocess.run([program, *words], cwd=home, env=installed, stdout=sys.stderr, check=True)


if __name__ == "__main__":
    sys.exit(main())
