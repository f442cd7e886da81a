"""docs/licences.md: the licence of all that is installed with Liput. `python -m tests.release.licences` writes it."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Package(NamedTuple):
    name: str
    version: str


def uv(*words: str | Path, **more: str) -> bytes:
    """Return what the uv writes that installs what is locked. Raises CalledProcessError."""
    command = (ROOT / "run", "uv", *words)
    return subprocess.run(
        command, env=os.environ | more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout


def runtime() -> list[Package]:
    """Return what Liput needs when it runs, on whatever system, with all extras; by name."""
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
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


PAGE = ROOT / "docs/licences.md"

READ: Mapping[str, str] = {
    "cssselect2": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "obstore": "MIT",
    "opencv-python": "Apache-2.0",
    "pydyf": "BSD-3-Clause",
    "pyphen": "GPL-2.0-or-later OR LGPL-2.1-or-later OR MPL-1.1",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "tinycss2": "BSD-3-Clause",
    "tinyhtml5": "MIT",
    "weasyprint": "BSD-3-Clause",
    "webencodings": "BSD-3-Clause",
}
"""Read in their licence files, where the metadata have no SPDX expression."""

_GNU = "LGPL-3.0-or-later OR GPL-2.0-or-later"
_QT = "LGPL-3.0-only OR GPL-2.0-only OR GPL-3.0-only"
_CARRIED: Mapping[str, str] = {
    "0BSD": "lzma",
    "BSD-2-Clause": "aom avif dav1d openjp2",
    "BSD-2-Clause-Patent": "vmaf",
    "BSD-3-Clause": "openblasp-r0 opus scipy_openblas64_ sharpyuv vpx webp webpdemux webpmux",
    "BSD-3-Clause OR GPL-2.0-only": "zstd",
    "BSD-3-Clause WITH PCRE2-exception": "pcre2-16",
    "BSD-3-Clause-Clear": "SvtAv1Enc",
    "FTL OR GPL-2.0-or-later": "freetype",
    "GPL-2.0-or-later": "x264 x265",
    "GPL-3.0-or-later WITH GCC-exception-3.1": "gfortran",
    "IJG AND BSD-3-Clause AND Zlib": "jpeg",
    "LGPL-2.0-or-later": "quadmath",
    "LGPL-2.1-or-later": "asound gnutls",
    _GNU: "gmp hogweed nettle unistring",
    _QT: "Qt5Core Qt5Gui Qt5Test Qt5Widgets Qt5XcbQpa",
    "MIT": "brotlicommon brotlidec drm lcms2 vpl",
    "MIT AND X11": "X11-xcb xkbcommon xkbcommon-x11",
    "MIT-Modern-Variant": "harfbuzz",
    "MIT-open-group": "Xau",
    "OpenSSL": "crypto ssl",
    "X11": "xcb xcb-icccm xcb-image xcb-keysyms xcb-randr xcb-render xcb-render-util xcb-shape xcb-shm xcb-sync"
    " xcb-util xcb-xfixes xcb-xinerama xcb-xkb",
    "libpng-2.0": "png16",
    "libtiff": "tiff",
}
CARRIED: Mapping[str, str] = {f"lib{name}": licence for licence, names in _CARRIED.items() for name in names.split()}
"""Of what wheels carry, by the library's name."""
FFMPEG: Mapping[str, str] = {"av": "LGPL-3.0-or-later", "opencv-python": "LGPL-2.1-or-later"}
"""What `avcodec_license()` of each wheel's FFmpeg says. It does not count x264 and x265 that PyAV's calls."""
_FFMPEG = ("libavcodec", "libavdevice", "libavfilter", "libavformat", "libavutil", "libswresample", "libswscale")

COMPATIBLE = frozenset((
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-2-Clause-Patent", "BSD-3-Clause", "BSD-3-Clause-Clear", "CC0-1.0", "FTL",
    "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "IJG", "LGPL-2.0-or-later", "LGPL-2.1-or-later",
    "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU", "MIT-Modern-Variant", "MIT-open-group", "PSF-2.0",
    "X11", "Zlib", "libpng-2.0", "libtiff",
))  # fmt: skip
"""What may be part of something under the GPL 3; an exception (`WITH`) only allows more."""

_TEXT = """# Licences

`python -m tests.release.licences` writes this page from what is installed, and a test compares them. Liput itself is
under GPL-3.0-or-later ([LICENSE](../LICENSE)). The list with versions and hashes is the SBOM that `./run build` makes.

Liput's own wheel and source archive carry none of what is listed here: uv fetches it from PyPI. Whoever passes on a
folder or a disk in which it is installed passes on all of it:

- With PyAV's wheel come x264 and x265, under the GPL ([decision 0001](decisions/0001-pyav-and-the-gpl.md)). Its FFmpeg
  calls itself LGPL-3.0-or-later, and calls both.
- libcrypto and libssl in opencv-python's wheel are OpenSSL 1.1.1, whose licence is not compatible with the GPL. Liput
  opens no file and no address by OpenCV and so calls neither, but its wheel loads them.
- The GPL and the LGPL want the source offered too. That of Liput is the source archive; the SBOM has the addresses of
  those of the packages.

## Python packages

With the extras `calendar`, `s3` and `sftp`.

| package | licence |
|---|---|
{packages}

## Libraries that their wheels carry

As files of their own. What is linked into a module of Python, as OpenSSL in cryptography and Rust's crates in obstore,
is in the licence files and the SBOM of the wheel (`.venv/lib/python3*/site-packages/*.dist-info`).

| in the wheel of | licence | libraries |
|---|---|---|
{libraries}

## Packages of the system

PortAudio, the plugins of ALSA, libjpeg-turbo, libsrt, Pango, HarfBuzz, GLib, OpenGL and the Liberation fonts are
packages of Debian, with their licences in `/usr/share/doc/*/copyright`. Their list is at the top of [`run`](../run).
"""


class Unknown(LookupError):
    """A licence that nobody has read yet."""


def main() -> int:
    """Write the page; return the exit status."""
    PAGE.write_text(page())
    return 0


def page() -> str:
    """Return docs/licences.md as it is to be. Raises Unknown, and LookupError where what is locked is not installed."""
    packages = {package.name: distribution_of(package) for package in runtime()}
    installed = {name: found for name, found in packages.items() if found}
    rows = [f"| {name} | {licence_of(found)} |" for name, found in installed.items()]
    libraries: dict[tuple[str, str], list[str]] = {}
    for name, found in installed.items():
        for library, licence in carried_by(name, found):
            libraries.setdefault((name, licence), []).append(library)
    carried = [f"| {name} | {licence} | {', '.join(found)} |" for (name, licence), found in sorted(libraries.items())]
    return _TEXT.format(packages="\n".join(rows), libraries="\n".join(carried))


def distribution_of(package: Package) -> Distribution | None:
    """Return a package as installed, None where it is for other systems. Raises LookupError at another version."""
    try:
        found = distribution(package.name)
    except PackageNotFoundError:
        return None
    if found.version != package.version:
        raise LookupError(f"{package.name} {found.version} is installed, {package.version} is locked")
    return found


def licence_of(package: Distribution) -> str:
    """Return a package's licence as an SPDX expression. Raises Unknown."""
    name = package.metadata["Name"].lower()
    said = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    found = said if terms(said) else READ.get(name)
    if found is None:
        raise Unknown(f"{name} says no SPDX expression: read its licence file, and add it to READ")
    return found


def carried_by(name: str, package: Distribution) -> Iterator[tuple[str, str]]:
    """Yield each library that a wheel carries, and its licence. Raises Unknown."""
    files = sorted(file.name for file in package.files or () if file.parent.name.endswith(".libs"))
    for library in dict.fromkeys(re.sub(r"(-[0-9a-f]{8})?\..*", "", file) for file in files):  # libx264-d6533a8d.so.165
        licence = FFMPEG.get(name) if library in _FFMPEG else CARRIED.get(library)
        if licence is None:
            raise Unknown(f"{name} carries {library}: read its licence, and add it to CARRIED")
        yield library, licence


def terms(expression: str) -> list[list[str]]:
    """Return the alternatives of an expression, each with all that then holds; none where it is no such expression."""
    found = [
        [name.split(" WITH ")[0] for name in together.split(" AND ")] for together in expression.split(" OR ")
    ]  # AND binds more than OR does
    return found if all(re.fullmatch(r"[\w.+-]+", name) for together in found for name in together) else []


def is_compatible(expression: str) -> bool:
    """Return whether what is under this licence may be part of something under the GPL 3."""
    return any(COMPATIBLE.issuperset(together) for together in terms(expression))


if __name__ == "__main__":
    sys.exit(main())
