"""Loading settings: where they are looked for, what they may hold, and what it means."""

import os
import re
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from config.errors import SettingsError, UsageError
from config.settings.layouts import BUILT_IN_LAYOUTS, LayoutSettings
from config.settings.reader import kinds_of
from config.settings.schema import (
    BUILT_IN_PROFILES,
    NAMED_SECTIONS,
    SECTIONS,
    AudioInputSettings,
    Profile,
    Settings,
    default_text,
    find_file,
    load_settings,
    read_settings,
    user_file,
)
from tests.support.errors import problems_of

pytestmark = pytest.mark.usefixtures("home")


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_a_file_the_defaults_hold(home: Path) -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.archive.path == home / "Videos" / "Liput"
    assert settings.profile() == BUILT_IN_PROFILES["1080p30"]
    assert settings.file is None


def test_the_first_file_that_exists_is_the_one(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = write(tmp_path / "etc" / "liput.toml", 'general.room = "system"')
    assert load_settings().general.room == "system"
    user = write(home / ".config" / "liput" / "liput.toml", 'general.room = "user"')
    assert load_settings().general.room == "user"
    assert find_file() == user_file() == user
    named = write(tmp_path / "named.toml", 'general.room = "environment"')
    monkeypatch.setenv("LIPUT_CONFIG", str(named))
    assert load_settings().general.room == "environment"
    assert load_settings(system).general.room == "system"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_of_settings_that_is_closed_has_none_for_us(home: Path, tmp_path: Path) -> None:
    system = write(tmp_path / "etc" / "liput.toml", 'general.room = "system"')
    assert find_file() == system
    system.parent.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            system.exists()
        assert find_file() is None
        assert load_settings() == Settings()
    finally:
        os.seteuid(0)


def test_an_invalid_file_gives_the_settings_of_its_last_valid_text(tmp_path: Path) -> None:
    file, valid = tmp_path / "liput.toml", 'general.room = "Aula"'
    assert load_settings(write(file, valid)).text == valid
    write(file, "general.room =")
    with pytest.raises(SettingsError):
        load_settings(file)
    settings = load_settings(file, valid)
    assert (settings.general.room, settings.file, settings.text) == ("Aula", file, valid)
    assert load_settings(file, "") == Settings()
    write(file, 'general.room = "Senat"')
    assert load_settings(file, valid).general.room == "Senat"


def test_a_named_file_must_exist_and_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        load_settings(tmp_path / "binary")
    with pytest.raises(SettingsError, match=r"cannot read the settings file .*: Is a directory"):
        load_settings(tmp_path)
    monkeypatch.setenv("LIPUT_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(SettingsError, match="there is no settings file"):
        load_settings()


def test_the_reference_file_says_what_the_defaults_are(home: Path) -> None:
    settings = read_settings(default_text(), home / "liput.toml")
    assert msgspec.structs.replace(settings, file=None, text="", lines={}) == Settings()


def test_the_reference_file_shows_every_setting() -> None:
    # Its examples (lines that hold a commented setting) must be right as well.
    text = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", default_text())
    settings = read_settings(text, Path("/liput.toml"))
    shown = {place if len(place) < 3 else (place[0], place[2]) for place in settings.lines}
    expected: set[tuple[str, ...]] = {(name,) for name in kinds_of(Settings)}
    for section in SECTIONS:
        expected |= {(section, name) for name in kinds_of(type(getattr(settings, section)))}
    for section, struct in NAMED_SECTIONS.items():
        expected |= {(section, name) for name in kinds_of(struct)}
    assert shown == expected
    assert set(settings.destinations) == {"youtube", "kampus", "relay", "uji", "web"}


def test_a_file_changes_single_fields_and_adds_profiles() -> None:
    settings = read_settings(
        """
        video.profile = "aula"
        profiles.1080p30.video_bitrate = "6M"
        [profiles.aula]
        width = 1920
        height = 1080
        fps = "30000/1001"
        video_bitrate = 5_000_000
        maxrate = "7500k"
        keyframe_s = 1
        """,
        Path("/etc/liput/liput.toml"),
    )
    assert settings.profile("1080p30") == msgspec.structs.replace(BUILT_IN_PROFILES["1080p30"], video_bitrate=6_000_000)
    assert settings.profile("1080p30").max_bitrate == 6_000_000
    aula = settings.profile()
    assert aula == Profile(
        width=1920, height=1080, fps=Fraction(30000, 1001), video_bitrate=5_000_000, maxrate=7_500_000, keyframe_s=1.0
    )
    assert aula.max_bitrate == 7_500_000
    assert settings.lines["profiles", "aula", "fps"] == 7
    assert set(settings.profiles) == {*BUILT_IN_PROFILES, "aula"}


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 1_125_000, 4_500_000),
        ("video.stream_bitrate = '800k'", 300_000, 800_000),
        ("video.stream_bitrate = '200k'", 200_000, 200_000),
        ("video.stream_least_bitrate = '20M'", 4_500_000, 4_500_000),
    ],
)
def test_the_range_of_a_live_encode(text: str, least: int, most: int) -> None:
    settings = read_settings(text, Path("/etc/liput/liput.toml"))
    assert settings.video.stream_range(settings.profile("1080p30")) == (least, most)


def test_relative_paths_count_from_the_settings_file(home: Path) -> None:
    settings = read_settings(
        """
        keys_file = "private/keys.toml"
        archive.path = "~/rekaman"
        destinations.kampus = { url = "rtmps://live.example/app/", ca_file = "ca.pem" }
        """,
        Path("/etc/liput/liput.toml"),
    )
    assert settings.keys_file == Path("/etc/liput/private/keys.toml")
    assert settings.archive.path == home / "rekaman"
    assert settings.destinations["kampus"].ca_file == Path("/etc/liput/ca.pem")
    assert settings.destinations["kampus"].url == "rtmps://live.example/app"


def test_the_first_layout_must_be_there() -> None:
    (problem,) = problems_of('program.layout = "pipp"')
    assert problem.endswith('did you mean "pip"?')
    settings = read_settings(
        """
        program.layout = "kuliah"
        [layouts.kuliah]
        kind = "pip"
        show = ["slides", 2]
        """,
        Path("/etc/liput/liput.toml"),
    )
    assert settings.layout() == LayoutSettings(kind="pip", show=("slides", "2"))
    assert settings.layout("pip") == BUILT_IN_LAYOUTS["pip"]
    with pytest.raises(UsageError, match='there is no layout "kulia"; did you mean "kuliah"'):
        settings.layout("kulia")


def test_further_disks_are_a_list_of_folders_that_counts_from_the_file() -> None:
    settings = read_settings('[storage]\npaths = ["/mnt/a", "b"]\nmirror = true', Path("/etc/liput/liput.toml"))
    assert settings.storage.paths == (Path("/mnt/a"), Path("/etc/liput/b"))
    assert settings.storage.mirror
    for paths, problem in (('"/mnt/a"', "must be a list of paths"), ('["/a", "/a"]', "must not name a path twice")):
        (found,) = problems_of(f"[storage]\npaths = {paths}")
        assert problem in found


def test_an_input_of_sound_is_treated_as_its_role_else_as_its_kind() -> None:
    settings = read_settings(
        "[sound.podium]\ngain_db = 6\nown_track = true\n[sound.microphone]\ngain_db = -3.5\n", Path("/liput.toml")
    )
    assert settings.sound_of("podium", "microphone") == AudioInputSettings(gain_db=6.0, own_track=True)
    assert settings.sound_of("room", "microphone") == AudioInputSettings(gain_db=-3.5)
    assert settings.sound_of(None, "microphone") == AudioInputSettings(gain_db=-3.5)
    assert settings.sound_of("room", "capture-card") == AudioInputSettings()
