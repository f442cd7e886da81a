"""What is handed over of a package: each file with its size and checksum, from the disk or made for the purpose."""

import hashlib
import io
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.errors import PackageDamaged
from config.files import read_file
from recorder.archive import bag, fixity, names
from recorder.archive.rebuilding import damaged, refuse_incomplete


@dataclass(frozen=True, slots=True)
class Content:
    """One file: its path in the package, bytes, hex SHA-256, and where it is to be read: a file, or as it stands."""

    path: str
    size: int
    digest: str
    source: Path | bytes

    @classmethod
    def made(cls, path: str, content: bytes) -> "Content":
        """Return a file that is made for the purpose."""
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)

    @property
    def is_private(self) -> bool:
        """Whether only its owner may read it: it holds personal data."""
        return isinstance(self.source, Path) and not stat.S_IMODE(self.source.stat().st_mode) & 0o077

    def changed(self) -> PackageDamaged:
        """Return the error of what was read and is not what its checksum says."""
        package = self.source.parents[self.path.count("/")].name if isinstance(self.source, Path) else ""
        return damaged(package, f"{names.one_line(self.path)} is changed: its SHA-256 is not the one listed")

    def open(self) -> IO[bytes]:
        """Return its content, open to be read."""
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")


def contents(folder: Path) -> list[Content]:
    """Return every file of the package at `folder`, the tag manifest last.

    Raises PackageDamaged when the package is not whole, as far as can be seen without reading its media, ArchiveError
    when those are kept elsewhere; whoever reads them compares what they read with the checksums.
    """
    refuse_incomplete(folder)
    try:
        listed = {
            path: digest
            for manifest in (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE)
            for path, digest in bag.read_manifest(read_file(folder / manifest)).items()
        }
        sizes = fixity.walk(folder)[0]
        found = [Content(path, sizes[path], digest, folder / path) for path, digest in sorted(listed.items())]
        vouching = read_file(folder / bag.TAG_MANIFEST_FILE)
    except (OSError, KeyError, bag.BagFormatError) as error:
        raise PackageDamaged(f"{folder.name} cannot be read: {error}") from None
    return [*found, Content.made(bag.TAG_MANIFEST_FILE, vouching)]


def with_manifests(payload: list[Content], tags: Mapping[str, bytes]) -> Iterator[Content]:
    """Yield the files of a new package: `payload`, `tags`, and the manifests of both."""
    yield from payload
    digests = bag.manifest_text({one.path: one.digest for one in payload})
    made = [Content.made(path, content) for path, content in {**tags, bag.MANIFEST_FILE: digests}.items()]
    yield from made
    yield Content.made(bag.TAG_MANIFEST_FILE, bag.manifest_text({one.path: one.digest for one in made}))
