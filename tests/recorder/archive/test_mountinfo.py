"""What is mounted, beside what findmnt reads; and lines that are harder than those of this machine."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from recorder.archive import place
from recorder.archive.place import Mount, mounted


def test_it_is_what_findmnt_says() -> None:
    words = ["findmnt", "--json", "--list", "--nofsroot", "--output", "MAJ:MIN,TARGET,FSTYPE,SOURCE"]
    listed = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)["filesystems"]
    theirs = [(one["maj:min"], one["target"], one["fstype"]) for one in listed]
    ours = [(f"{os.major(one.device)}:{os.minor(one.device)}", str(one.point), one.kind) for one in mounted()]
    assert sorted(ours) == sorted(theirs)
    assert ("/proc", "proc") in {(point, kind) for _, point, kind in ours}


def test_blanks_in_names_and_any_number_of_optional_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / /srv/rekaman\\040rapat rw,noatime master:1 shared:2 - ext4 /dev/disk\\040satu rw\n"
        "37 35 0:44 /isi /mnt/arsip rw - nfs4 nas.kampus.id:/arsip rw,vers=4.2\n"
    )
    monkeypatch.setattr(place, "MOUNTS", table)
    assert mounted() == [
        Mount(os.makedev(98, 0), Path("/srv/rekaman rapat"), "ext4", "/dev/disk satu"),
        Mount(os.makedev(0, 44), Path("/mnt/arsip"), "nfs4", "nas.kampus.id:/arsip"),
    ]
