"""What a manifest of a package lists, here or at another place, and what may not stand in it.

A package may come from anywhere: no path of a manifest is opened that was not judged here.
"""

import unicodedata
from collections.abc import Collection, Mapping

from recorder.archive import bag
from recorder.archive.model import Problem, ProblemKind


def listed_in(
    manifest: str,
    content: bytes,
    there: Collection[str],
    form: bag.BagForm = bag.FORM,
    digits: int = 64,
    spelled: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], list[Problem]]:
    """Return path and hex digest of what the `content` of a manifest lists, and what is wrong with it.

    `there` are the paths that need not be missed. What is missing is returned, too; what may not stand there is not.
    With `spelled`, the names of files by their normal form (NFC), paths may begin with `./` and be composed otherwise.
    """
    try:
        entries = bag.read_manifest(content, form, digits)
    except bag.BagFormatError as error:
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
    """Return why `path` may not stand in a manifest, None if it may."""
    of_payload = manifest.startswith("manifest-")
    if path.startswith(bag.PAYLOAD) != of_payload:
        return bag.unsafe_path(path) or f"it is {'not ' if of_payload else ''}below {bag.PAYLOAD}"
    return bag.unsafe_path(path)
