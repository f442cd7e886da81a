"""The SBOM of what Liput is installed with, in CycloneDX's JSON.

uv writes it from the lock. Here licences and what wheels carry are added, and the moment of its making is taken out.
"""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.release import licences
from tests.release.locked import Package, uv

_KIND = ("--format", "cyclonedx1.5", "--preview-features", "sbom-export")


def sbom(tree: Path, made_s: int) -> bytes:
    """Return the SBOM of the lock in a folder: of all that Liput needs when it runs, with all extras.

    `made_s` is the time that it says it was made at, in seconds since 1970. Raises what `licences.page` does.
    """
    bill = json.loads(uv("export", "--frozen", "--quiet", "--project", tree, "--no-dev", "--all-extras", *_KIND))
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
