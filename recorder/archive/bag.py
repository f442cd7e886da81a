"""The text formats of BagIt 1.0 (RFC 8493): declaration, manifests and bag-info, written and read.

bag-info values stand on one line each, however long: the RFC recommends folding at 79 characters and allows longer
lines, and readers disagree on whether a fold is part of the value. What others have folded is read.
"""

import re
from collections.abc import Iterable, Mapping

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
DECLARATION_FILE = "bagit.txt"
INFO_FILE = "bag-info.txt"
MANIFEST_FILE = "manifest-sha256.txt"
TAG_MANIFEST_FILE = "tagmanifest-sha256.txt"
FETCH_FILE = "fetch.txt"
PAYLOAD = "data/"

_ENCODE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_DECODE = {"%25": "%", "%0D": "\r", "%0A": "\n"}
_LINE = re.compile(r"(?P<digest>[0-9A-Fa-f]{64})[ \t]+\*?(?P<path>.+)", re.DOTALL)


class BagFormatError(ValueError):
    """A line of a tag file that is not what RFC 8493 says it should be; the message says which line and why."""


def encode_path(path: str) -> str:
    """Return `path` as it stands in a manifest: LF, CR and % percent-encoded, nothing else."""
    return re.sub(r"[%\r\n]", lambda match: _ENCODE[match[0]], path)


def decode_path(text: str) -> str:
    """Return the path that stands in a manifest as `text`; percent signs of other makers are left as they are."""
    return re.sub(r"%(?:25|0[DA])", lambda match: _DECODE[match[0].upper()], text, flags=re.IGNORECASE)


def unsafe_path(path: str) -> str | None:
    """Return why `path` may not stand in a manifest, or None: it must name a file inside the package, one way."""
    if path.startswith(("/", "~", "\\")):
        return "it does not start in the package"
    if "\0" in path:
        return "it holds a NUL"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "it holds an empty, `.` or `..` part"
    return None


def manifest_text(digests: Mapping[str, str]) -> bytes:
    """Return the content of a manifest: a line of digest and path for each entry of `digests` (path to hex digest)."""
    lines = (f"{digests[path]}  {encode_path(path)}\n" for path in sorted(digests))
    return "".join(lines).encode()


def read_manifest(content: bytes) -> dict[str, str]:
    """Return path and lower-case digest of each line, in the file's order; the paths are not judged.

    Raises BagFormatError on a line that is none, on a path that stands twice, and on text that is not UTF-8.
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text(content)), start=1):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise BagFormatError(f"line {number} is not a SHA-256 digest and a path")
        path = decode_path(match["path"])
        if path in digests:
            raise BagFormatError(f"line {number} names {path!r} again")
        digests[path] = match["digest"].lower()
    return digests


def read_fetch(content: bytes) -> dict[str, int]:
    """Return the paths of a fetch.txt that are safe, with their bytes: what of a package is kept elsewhere.

    Raises BagFormatError on a line that is not an address, a length and a path, and on text that is not UTF-8.
    """
    found = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text(content)), start=1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        if len(words) < 3 or not re.fullmatch(r"[0-9]{1,18}", words[1]):  # 18 digits: an exabyte
            raise BagFormatError(f"line {number} is not an address, a length and a path")
        path = decode_path(words[2])
        if unsafe_path(path) is None and path.startswith(PAYLOAD):
            found[path] = int(words[1])
    return found


def info_text(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return the content of bag-info.txt; values must be on one line (`names.one_line`), empty ones are left out."""
    return "".join(f"{label}: {value}\n" for label, value in fields if value).encode()


def read_info(content: bytes) -> dict[str, str]:
    """Return the fields of bag-info.txt, the last of each label; folded lines are joined by a space.

    Raises BagFormatError on a line without a label, and on text that is not UTF-8.
    """
    fields: dict[str, str] = {}
    label = ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text(content)), start=1):
        if not line.strip():
            continue
        if line[0] in " \t" and label:
            fields[label] = f"{fields[label]} {line.strip()}"
            continue
        label, colon, value = line.partition(":")
        if not colon or not label.strip():
            raise BagFormatError(f"line {number} has no label")
        fields[label] = value.strip()
    return fields


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BagFormatError(f"byte {error.start + 1} is not UTF-8") from None
