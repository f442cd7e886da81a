"""A place to record in: settings of its own, an archive of its own, and how to look into what came out."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.support import archives, command, media
from tests.support.command import Line

PROFILE = "240p15"
FPS = 15


@dataclass(frozen=True)
class Room:
    """A home with settings; `record` are the words of a command that records into `archive`."""

    home: Path

    @property
    def archive(self) -> Path:
        return self.home / "arsip"

    @property
    def settings(self) -> Path:
        return self.home / ".config/liput/liput.toml"

    def configure(self, more: str = "", keys: str | None = None) -> None:
        """Write the settings, and a file of keys; no reports (2 s each), unless `more` has some, and no relief."""
        report = "" if "[report]" in more else "[report]\nmade = false\n\n"
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        video = f'[video]\nprofile = "{PROFILE}"\nstep_down = false\n\n'
        self.settings.write_text(f'[archive]\nreserve = "10 MB"\n{video}{report}{more}')
        if keys is not None:
            path = self.settings.with_name("keys.toml")
            path.touch(0o600)
            path.write_text(keys)

    def words(self, *more: str | Path, title: str = "Rapat Senat", video: str | Path = "synthetic") -> list[str | Path]:
        """Return the words of a recording; nobody is asked about consent, so that a terminal shows it at once."""
        asked = ["--consent", "not-asked"]
        return ["record", "--title", title, "--video", video, "--archive", self.archive, *asked, *more]

    def record(self, *more: str | Path, video: str | Path = "synthetic") -> "Recorded":
        """Record to the end with --json."""
        done = command.liput(self.home, *self.words("--json", *more, video=video))
        return Recorded(done.returncode, command.lines(done.stdout), done.stderr)

    def packages(self) -> list[Path]:
        return sorted(path.parent for path in self.archive.glob("*/*/*/bagit.txt"))

    def leftovers(self) -> list[Path]:
        """Return everything in the archive folder that is not of a package, the empty folder for work left out."""
        if not self.archive.exists():
            return []
        packages = self.packages()
        known = {self.archive / ".incoming", *packages, *(above for package in packages for above in package.parents)}
        found = [path for path in self.archive.rglob("*") if path not in known]
        return [path for path in found if not any(package in path.parents for package in packages)]

    def verify(self) -> list[dict[str, object]]:
        """Let the command verify everything and decode every frame."""
        done = command.liput(self.home, "archive", "verify", "--all", "--decode", "--json", "--archive", self.archive)
        answer: list[dict[str, object]] = json.loads(done.stdout)
        return answer

    def only_package(self) -> Path:
        """Return the one package there is, once it has been proved whole, and nothing stands beside it."""
        (package,) = self.packages()
        assert self.leftovers() == []
        assert [(entry["ok"], entry["problems"], entry["decoded"]) for entry in self.verify()] == [(True, [], True)]
        archives.validate_bag(package)
        return package


@dataclass(frozen=True)
class Recorded:
    """What a command that has ended said."""

    status: int
    lines: list[Line]
    errors: str

    def of(self, kind: str) -> list[Line]:
        return command.of_type(self.lines, kind)

    @property
    def result(self) -> Line:
        assert self.lines, self.errors
        return self.lines[-1]


def program(package: Path) -> Path:
    return package / "data/media/program.mp4"


def frames(package: Path) -> int:
    """Return how many pictures ffmpeg decodes, without a word of complaint."""
    media.decodes_cleanly(program(package))
    return media.decoded(program(package), "v").frames
