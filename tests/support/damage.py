"""Damage of every kind that a package can take, and how it is called when it is found.

And packages that somebody has made who wants to see what happens.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.package import bag, fixity

MEDIA = "data/media/program.mp4"


def rewrite(folder: Path) -> None:
    """Write the manifests anew, so that they vouch for what is there now."""
    for manifest, of_payload in ((bag.MANIFEST_FILE, True), (bag.TAG_MANIFEST_FILE, False)):
        (folder / manifest).unlink(missing_ok=True)
        files = [path for path in fixity.walk(folder)[0] if path.startswith("data/") == of_payload]
        if not of_payload:
            files = [path for path in files if path != bag.TAG_MANIFEST_FILE]
        digests = {path: fixity.sha256(folder / path, fixity.ByteProgress(0, None)) for path in files}
        (folder / manifest).write_bytes(bag.manifest_text(digests))


def flip(folder: Path) -> None:
    content = bytearray((folder / MEDIA).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MEDIA).write_bytes(content)


def remove(folder: Path) -> None:
    (folder / MEDIA).unlink()


def add(folder: Path) -> None:
    (folder / "data" / "media" / "new.mp4").write_bytes(b"new")


def add_tag_file(folder: Path) -> None:
    (folder / "metadata" / "note.txt").write_bytes(b"new")


def truncate(folder: Path) -> None:
    os.truncate(folder / MEDIA, 1000)


def empty(folder: Path) -> None:
    os.truncate(folder / MEDIA, 0)


def rename(folder: Path) -> None:
    (folder / MEDIA).rename(folder / "data" / "media" / "renamed.mp4")


def link_file(folder: Path) -> None:
    target = folder.parent / "outside.mp4"
    (folder / MEDIA).rename(target)
    (folder / MEDIA).symlink_to(target)


def link_folder(folder: Path) -> None:
    target = folder.parent / "outside"
    (folder / "data" / "media").rename(target)
    (folder / "data" / "media").symlink_to(target)


def pipe(folder: Path) -> None:
    (folder / MEDIA).unlink()
    os.mkfifo(folder / MEDIA)


def climb(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_bytes(b"secret")
    with (folder / bag.MANIFEST_FILE).open("a") as manifest:
        manifest.write(f"{hashlib.sha256(b'secret').hexdigest()}  data/../../outside.txt\n")


def absolute(folder: Path) -> None:
    with (folder / bag.MANIFEST_FILE).open("a") as manifest:
        manifest.write(f"{'0' * 64}  /etc/hostname\n")


def swap_manifests(folder: Path) -> None:
    content = (folder / bag.TAG_MANIFEST_FILE).read_bytes()
    (folder / bag.MANIFEST_FILE).write_bytes(content)


def garble(folder: Path) -> None:
    (folder / bag.MANIFEST_FILE).write_bytes(b"\xff\x00garbage\n")


def no_manifest(folder: Path) -> None:
    (folder / bag.MANIFEST_FILE).unlink()


def no_tag_manifest(folder: Path) -> None:
    (folder / bag.TAG_MANIFEST_FILE).unlink()


def no_declaration(folder: Path) -> None:
    (folder / bag.DECLARATION_FILE).unlink()


def old_declaration(folder: Path) -> None:
    (folder / bag.DECLARATION_FILE).write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")
    rewrite(folder)


def wrong_oxum(folder: Path) -> None:
    info = folder / bag.INFO_FILE
    info.write_text("".join(line for line in info.read_text().splitlines(True) if not line.startswith("Payload")))
    rewrite(folder)


def other_identity(folder: Path) -> None:
    info = folder / bag.INFO_FILE
    info.write_text(info.read_text().replace("External-Identifier: ", "External-Identifier: x"))
    rewrite(folder)


def bad_description(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"frames"', '"phrames"'))
    rewrite(folder)


def newer_version(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2').replace('"frames"', '"phrames"'))
    rewrite(folder)


def wrong_size(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"bytes": ', '"bytes": 1'))
    rewrite(folder)


def undescribed(folder: Path) -> None:
    """Take the film out, and write the manifests anew."""
    info = folder / bag.INFO_FILE
    size = (folder / "data" / "poster.jpg").stat().st_size
    lines = [line for line in info.read_text().splitlines() if not line.startswith("Payload")]
    info.write_text("\n".join([*lines, f"Payload-Oxum: {size}.1", ""]))
    (folder / MEDIA).unlink()
    rewrite(folder)


def not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"data/\xff.bin")).write_bytes(b"")


CORPUS: list[tuple[Callable[[Path], None], tuple[str, str]]] = [
    (remove, (MEDIA, "missing")),
    (add, ("data/media/new.mp4", "extra")),
    (add_tag_file, ("metadata/note.txt", "extra")),
    (truncate, (MEDIA, "changed")),
    (empty, (MEDIA, "changed")),
    (rename, (MEDIA, "missing")),
    (rename, ("data/media/renamed.mp4", "extra")),
    (link_file, (MEDIA, "unsafe")),
    (link_folder, ("data/media", "unsafe")),
    (pipe, (MEDIA, "unsafe")),
    (climb, (bag.MANIFEST_FILE, "unsafe")),
    (absolute, (bag.MANIFEST_FILE, "unsafe")),
    (swap_manifests, (bag.MANIFEST_FILE, "unsafe")),
    (garble, (bag.MANIFEST_FILE, "malformed")),
    (no_manifest, (bag.MANIFEST_FILE, "missing")),
    (no_tag_manifest, (bag.TAG_MANIFEST_FILE, "missing")),
    (no_declaration, (bag.DECLARATION_FILE, "missing")),
    (old_declaration, (bag.DECLARATION_FILE, "malformed")),
    (wrong_oxum, (bag.INFO_FILE, "inconsistent")),
    (other_identity, (bag.INFO_FILE, "inconsistent")),
    (bad_description, ("metadata/recording.json", "malformed")),
    (newer_version, ("metadata/recording.json", "unreadable")),
    (wrong_size, (MEDIA, "inconsistent")),
    (undescribed, (MEDIA, "missing")),
    (not_utf8, ("data/\ufffd.bin", "extra")),
]

BY_READING: list[tuple[Callable[[Path], None], tuple[str, str]]] = [(flip, (MEDIA, "changed"))]
"""What nobody sees who does not read the media: whoever corrects a package must not hide it."""


def says(field: str, value: str) -> Callable[[Path], None]:
    """Return what lets a description say something else, its manifests vouching for it."""

    def lie(folder: Path) -> None:
        path = folder / "metadata" / "recording.json"
        said = rf'"{field}": (?:"[^"]*"|[\d.]+|\{{[^}}]*\}})'
        text, count = re.subn(said, lambda _: f'"{field}": {value}', path.read_text())
        assert count
        path.write_text(text)
        rewrite(folder)

    lie.__name__ = f"{field}_{value[:12]}"
    return lie


def nested(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().rstrip()[:-1] + f', "x": {"[" * 100_000}{"]" * 100_000}}}')
    rewrite(folder)


def fetch(length: str) -> Callable[[Path], None]:
    """Return what gives a package a fetch.txt with such a length in it."""

    def write(folder: Path) -> None:
        (folder / bag.FETCH_FILE).write_text(f"https://example.org/x {length} data/media/x.mp4\n")
        rewrite(folder)

    write.__name__ = f"fetch_{length[:12]}"
    return write


def odd_history(folder: Path) -> None:
    for name in ("abc", "\u0664\u0664\u0664\u0664"):
        (folder / "metadata" / "history" / name).mkdir(parents=True)
        (folder / "metadata" / "history" / name / "x").write_bytes(b"x")
    rewrite(folder)


def other_uuid(folder: Path) -> None:
    says("uuid", '"nobody"')(folder)
    info = folder / bag.INFO_FILE
    info.write_text(re.sub("External-Identifier: .*", "External-Identifier: nobody", info.read_text()))
    rewrite(folder)


HOSTILE: list[Callable[[Path], None]] = [
    nested, odd_history, other_uuid, fetch("\u00b2"), fetch("9" * 5000),
    says("duration_s", "1e300"), says("software", "{}"), says("rate", '"1/0"'), says("rate", '"x"'),
    says("started_at", '"0001-01-01T00:00:00+14:00"'), says("file", '"../../outside.mp4"'), says("file", '"\\u0000"'),
]  # fmt: skip


def unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk give nothing of one folder any more."""

    def failing[Answer](real: Callable[..., Answer]) -> Callable[..., Answer]:
        def act(path: str | Path, *more: object, **named: object) -> Answer:
            if Path(path) == folder:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return real(path, *more, **named)

        return act

    monkeypatch.setattr(os, "scandir", failing(os.scandir))
    monkeypatch.setattr(os, "open", failing(os.open))
