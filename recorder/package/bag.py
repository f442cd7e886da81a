"""The text formats of BagIt 1.0 (RFC 8493): declaration, manifests and bag-info.

bag-info values are written on one line each, since readers disagree on the blanks of a fold. Folded values are read.

Packages may be hostile: this module judges each path of a manifest before anything opens it.
"""

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from recorder.package.metadata import Problem, ProblemKind

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
DECLARATION_FILE = "bagit.txt"
INFO_FILE = "bag-info.txt"
MANIFEST_FILE = "manifest-sha256.txt"
TAG_MANIFEST_FILE = "tagmanifest-sha256.txt"
FETCH_FILE = "fetch.txt"
PAYLOAD = "data/"

MANIFEST_NAME = re.compile(r"(?:tag)?manifest-(?P<algorithm>[a-z0-9-]+)\.txt")
"""File names of manifests, of payload and of tag files."""
_LINE_END = r"(?:\r\n|\r|\n)"
_DECLARED = re.compile(
    rf"BagIt-Version(?P<blank>[ \t]*):[ \t]*(?P<major>\d+)\.(?P<minor>\d+)(?P<end>[ \t]*){_LINE_END}"
    rf"Tag-File-Character-Encoding[ \t]*:[ \t]*(?P<encoding>\S+)[ \t]*{_LINE_END}?"
)


class BagDeclaration(NamedTuple):
    """The declaration of a bag: the BagIt version, and the encoding of its other tag files."""

    version: tuple[int, int] = (1, 0)
    encoding: str = "utf-8"


OUR_DECLARATION = BagDeclaration()  # the declaration of our packages


class BagFormatError(ValueError):
    """A tag file breaks RFC 8493; the message has the line and the reason."""


def read_declaration(content: bytes) -> BagDeclaration:
    """Return the declaration in `bagit.txt`, with any of the three line ends. Raises BagFormatError."""
    match = _DECLARED.fullmatch(_text(content))
    if match is None:
        raise BagFormatError("it has not a version of BagIt and an encoding, in two lines")
    version = int(match["major"]), int(match["minor"])
    if version >= OUR_DECLARATION.version and (match["blank"] or match["end"]):
        raise BagFormatError("it has blanks around the version")
    try:
        return BagDeclaration(version, codecs.lookup(match["encoding"]).name)
    except LookupError:
        raise BagFormatError(f"the encoding {match['encoding']!r} is not known") from None


def algorithm_of(manifest: str) -> str | None:
    """Return hashlib's name for the algorithm of a manifest; None for another file or an unknown algorithm."""
    match = MANIFEST_NAME.fullmatch(manifest)
    name = match["algorithm"].replace("-", "_") if match else ""
    return name if name in hashlib.algorithms_guaranteed and not name.startswith("shake") else None


def digest_length(algorithm: str) -> int:
    """Return the number of hex digits of a digest."""
    return 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size


def is_payload_manifest(name: str) -> bool:
    return name.startswith("manifest-") and MANIFEST_NAME.fullmatch(name) is not None


def encode_path(path: str) -> str:
    """Return `path` for a manifest: only LF, CR and % are percent-encoded."""
    return re.sub(r"[%\r\n]", lambda match: f"%{ord(match[0]):02X}", path)


def decode_path(text: str, form: BagDeclaration = OUR_DECLARATION) -> str:
    """Return the path for `text` of a manifest. Before BagIt 1.0 only line ends were encoded."""
    encoded = r"%(?:25|0[DA])" if form.version >= OUR_DECLARATION.version else r"%0[DA]"
    return re.sub(encoded, lambda match: chr(int(match[0][1:], 16)), text, flags=re.IGNORECASE)


def path_refusal(path: str) -> str | None:
    """Return why `path` is refused, or None: it must name a file inside the package in one way."""
    if path.startswith(("/", "~", "\\")):
        return "it does not start in the package"
    if "\0" in path:
        return "it holds a NUL"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "it holds an empty, `.` or `..` part"
    return None


def manifest_text(digests: Mapping[str, str]) -> bytes:
    """Return a manifest; `digests` are hex digests by path."""
    lines = (f"{digests[path]}  {encode_path(path)}\n" for path in sorted(digests))
    return "".join(lines).encode()


def read_manifest(content: bytes, form: BagDeclaration = OUR_DECLARATION, digits: int = 64) -> dict[str, str]:
    """Return lower-case hex digests by path, in the file's order; paths are not judged.

    Raises BagFormatError for a malformed line, a repeated path (before BagIt 1.0: with another digest) or a wrong
    encoding.
    """
    digests: dict[str, str] = {}
    form_of_line = re.compile(rf"(?P<digest>[0-9A-Fa-f]{{{digits}}})[ \t]+\*?(?P<path>.+)", re.DOTALL)
    for number, line in enumerate(re.split(_LINE_END, _text(content, form.encoding)), start=1):
        if not line:
            continue
        match = form_of_line.fullmatch(line)
        if match is None:
            raise BagFormatError(f"line {number} is not a digest of {digits} digits and a path")
        path, digest = decode_path(match["path"], form), match["digest"].lower()
        if path in digests and (form.version >= OUR_DECLARATION.version or digests[path] != digest):
            raise BagFormatError(f"line {number} names {path!r} again")
        digests[path] = digest
    return digests


def read_fetch(
    content: bytes,
    form: BagDeclaration = OUR_DECLARATION,
    refused: Callable[[str, str], object] = lambda _path, _why: None,
) -> dict[str, int]:
    """Return safe paths of a fetch.txt with their bytes (0: unknown); `refused` gets others. Raises BagFormatError."""
    found = {}
    for number, line in enumerate(re.split(_LINE_END, _text(content, form.encoding)), start=1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        if len(words) < 3 or not re.fullmatch(r"[0-9]{1,18}|-", words[1]):  # 18 digits: an exabyte
            raise BagFormatError(f"line {number} is not an address, a length and a path")
        path = decode_path(words[2], form)
        why = path_refusal(path) or (None if path.startswith(PAYLOAD) else f"it is not below {PAYLOAD}")
        if why is None:
            found[path] = 0 if words[1] == "-" else int(words[1])
        else:
            refused(path, why)
    return found


def info_text(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return bag-info.txt without empty values. Values must be on one line (`names.one_line`)."""
    return "".join(f"{label}: {value}\n" for label, value in fields if value).encode()


def read_info(content: bytes, form: BagDeclaration = OUR_DECLARATION) -> dict[str, str]:
    """Return the fields of bag-info.txt, unfolded; of a repeated label the last. Raises BagFormatError."""
    fields: dict[str, str] = {}
    label = ""
    for number, line in enumerate(re.split(_LINE_END, _text(content, form.encoding)), start=1):
        if not line.strip():
            continue
        if line[0] in " \t" and label:
            fields[label] = f"{fields[label]} {line.strip()}"
            continue
        label, colon, value = line.partition(":")
        if not colon or not label.strip():
            raise BagFormatError(f"line {number} has no label")
        label = label.strip() if form.version < OUR_DECLARATION.version else label
        fields[label] = value.strip()
    return fields


def _text(content: bytes, encoding: str = OUR_DECLARATION.encoding) -> str:
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        where = f"byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else "it"
        raise BagFormatError(f"{where} is not {encoding.upper()}") from None


def check_manifest(
    manifest: str,
    content: bytes,
    there: Collection[str],
    form: BagDeclaration = OUR_DECLARATION,
    digits: int = 64,
    spelled: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], list[Problem]]:
    """Return the hex digests by path in the manifest `content`, and its problems.

    `there` are known paths. Missing paths are returned, refused ones are not. With `spelled` (paths by their NFC form),
    listed paths may begin with `./` and be composed otherwise.
    """
    try:
        entries = read_manifest(content, form, digits)
    except BagFormatError as error:
        return {}, [Problem(manifest, f"is malformed: {error}", ProblemKind.MALFORMED)]
    if spelled is not None:
        named = ((path.removeprefix("./"), digest) for path, digest in entries.items())
        entries = {
            path if path in there else spelled.get(unicodedata.normalize("NFC", path), path): digest
            for path, digest in named
        }
    problems = []
    for path in list(entries):
        reason = _refused(manifest, path)
        if reason is not None:
            problems.append(Problem(manifest, f"lists {path!r}, which is refused: {reason}", ProblemKind.UNSAFE))
            del entries[path]
        elif path not in there:
            problems.append(Problem(path, f"is missing; {manifest} lists it", ProblemKind.MISSING))
    return entries, problems


def _refused(manifest: str, path: str) -> str | None:
    of_payload = manifest.startswith("manifest-")
    if path.startswith(PAYLOAD) != of_payload:
        return path_refusal(path) or f"it is {'not ' if of_payload else ''}below {PAYLOAD}"
    return path_refusal(path)
