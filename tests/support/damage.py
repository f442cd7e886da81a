"""Damage of every kind that a package can take, done by chance or on purpose, and how it is called when it is found."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from recorder.package import bag, fixity
from recorder.package.work_folder import RECORDING_FILE

MEDIA = "data/media/program.mp4"

type Damage = Callable[[Path], object]


def rewrite(folder: Path) -> None:
    """Write the manifests anew, so that they vouch for what is there now."""
    for manifest, of_payload in ((bag.MANIFEST_FILE, True), (bag.TAG_MANIFEST_FILE, False)):
        (folder / manifest).unlink(missing_ok=True)
        files = [path for path in fixity.walk(folder)[0] if path.startswith("data/") == of_payload]
        if not of_payload:
            files = [path for path in files if path != bag.TAG_MANIFEST_FILE]
        digests = {path: fixity.sha256(folder / path, fixity.ByteProgress(0, None)) for path in files}
        (folder / manifest).write_bytes(bag.manifest_text(digests))


def both(*changes: Damage) -> Damage:
    """Return what does one after the other."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def removed(pattern: str) -> Damage:
    def change(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()

    return change


def written(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def replaced(name: str, pattern: str, new: str) -> Damage:
    """Return what writes something else where a pattern is, and lets the manifests vouch for it."""

    def change(folder: Path) -> None:
        text, count = re.subn(pattern, lambda _: new, (folder / name).read_text())
        assert count
        (folder / name).write_text(text)
        rewrite(folder)

    return change


def says(field: str, value: str) -> Damage:
    """Return what lets a description say something else."""
    return replaced(RECORDING_FILE, rf'"{field}": (?:"[^"]*"|[\d.]+|\{{[^}}]*\}})', f'"{field}": {value}')


def fetch(length: str) -> Damage:
    """Return what gives a package a fetch.txt with such a length in it."""
    line = f"https://example.org/x {length} data/media/x.mp4\n"
    return both(written(bag.FETCH_FILE, line.encode()), rewrite)


def flip(folder: Path) -> None:
    content = bytearray((folder / MEDIA).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MEDIA).write_bytes(content)


def link_file(folder: Path) -> None:
    target = folder.parent / "outside.mp4"
    (folder / MEDIA).rename(target)
    (folder / MEDIA).symlink_to(target)


def link_folder(folder: Path) -> None:
    target = folder.parent / "outside"
    (folder / "data" / "media").rename(target)
    (folder / "data" / "media").symlink_to(target)


def climb(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_bytes(b"secret")
    with (folder / bag.MANIFEST_FILE).open("a") as manifest:
        manifest.write(f"{hashlib.sha256(b'secret').hexdigest()}  data/../../outside.txt\n")


def undescribed(folder: Path) -> None:
    """Take the film out, and let all but the description vouch for that."""
    (folder / MEDIA).unlink()
    size = (folder / "data" / "poster.jpg").stat().st_size
    replaced(bag.INFO_FILE, "Payload-Oxum: .*", f"Payload-Oxum: {size}.1")(folder)


def odd_history(folder: Path) -> None:
    for name in ("abc", "\u0664\u0664\u0664\u0664"):
        (folder / "metadata" / "history" / name).mkdir(parents=True)
        (folder / "metadata" / "history" / name / "x").write_bytes(b"x")
    rewrite(folder)


UNKNOWN_FIELD = replaced(RECORDING_FILE, '"frames"', '"phrames"')
OLD_BAG = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"
DAMAGES: dict[str, tuple[Damage, tuple[str, str] | None]] = {
    "removed": (removed(MEDIA), (MEDIA, "missing")),
    "added": (written("data/media/new.mp4", b"new"), ("data/media/new.mp4", "extra")),
    "added to the description": (written("metadata/note.txt", b"new"), ("metadata/note.txt", "extra")),
    "cut off": (lambda folder: os.truncate(folder / MEDIA, 1000), (MEDIA, "changed")),
    "a linked file": (link_file, (MEDIA, "unsafe")),
    "a linked folder": (link_folder, ("data/media", "unsafe")),
    "a pipe": (both(removed(MEDIA), lambda folder: os.mkfifo(folder / MEDIA)), (MEDIA, "unsafe")),
    "a path out of it": (climb, (bag.MANIFEST_FILE, "unsafe")),
    "garbage": (written(bag.MANIFEST_FILE, b"\xff\x00garbage\n"), (bag.MANIFEST_FILE, "malformed")),
    "no manifest": (removed(bag.MANIFEST_FILE), (bag.MANIFEST_FILE, "missing")),
    "no tag manifest": (removed(bag.TAG_MANIFEST_FILE), (bag.TAG_MANIFEST_FILE, "missing")),
    "no declaration": (removed(bag.DECLARATION_FILE), (bag.DECLARATION_FILE, "missing")),
    "an old bag": (both(written(bag.DECLARATION_FILE, OLD_BAG), rewrite), (bag.DECLARATION_FILE, "malformed")),
    "no size": (replaced(bag.INFO_FILE, "Payload-Oxum: .*\n", ""), (bag.INFO_FILE, "inconsistent")),
    "another identity": (replaced(bag.INFO_FILE, "Identifier: ", "Identifier: x"), (bag.INFO_FILE, "inconsistent")),
    "no such field": (UNKNOWN_FIELD, (RECORDING_FILE, "malformed")),
    "a newer version": (both(says("version", "2"), UNKNOWN_FIELD), (RECORDING_FILE, "unreadable")),
    "another size": (replaced(RECORDING_FILE, '"bytes": ', '"bytes": 1'), (MEDIA, "inconsistent")),
    "undescribed": (undescribed, (MEDIA, "missing")),
    "no name in UTF-8": (written(os.fsdecode(b"data/\xff.bin"), b""), ("data/\ufffd.bin", "extra")),
    # What nobody sees who does not read the media: whoever corrects a package must not hide it.
    "a flipped bit": (flip, (MEDIA, "changed")),
    # By somebody who wants to see what happens.
    "nested": (replaced(RECORDING_FILE, r"\}\s*\Z", f', "x": {"[" * 100_000}{"]" * 100_000}}}'), None),
    "odd history": (odd_history, None),
    "another UUID": (
        both(says("uuid", '"nobody"'), replaced(bag.INFO_FILE, "Identifier: .*", "Identifier: nobody")),
        None,
    ),
    "fetch a square": (fetch("\u00b2"), None),
    "fetch the world": (fetch("9" * 5000), None),
    "a long time": (says("duration_s", "1e300"), None),
    "no software": (says("software", "{}"), None),
    "a rate by 0": (says("rate", '"1/0"'), None),
    "no rate": (says("rate", '"x"'), None),
    "the first day": (says("started_at", '"0001-01-01T00:00:00+14:00"'), None),
    "media elsewhere": (says("file", '"../../outside.mp4"'), None),
    "a zero in a name": (says("file", '"\\u0000"'), None),
}
"""Each with the file and the kind of what is found, where that is one thing."""
