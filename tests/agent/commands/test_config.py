"""`liput config`: what it prints, for people and for programs, and its exit status."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.commands.config import config_command
from config.settings.schema import Settings, read_settings

pytestmark = pytest.mark.usefixtures("home")

KEY = "hush-1234-abcd-5678"
TEXT = """[archive]
reserve = "3 GB"
[destinations.youtube]
url = "rtmps://a.example/live2"
[destinations.kampus]
url = "rtmp://b.example/live"
"""


@pytest.fixture
def file(home: Path) -> Path:
    folder = home / ".config" / "liput"
    folder.mkdir(parents=True)
    (folder / "keys.toml").write_text(f'youtube = "{KEY}"')
    (folder / "keys.toml").chmod(0o600)
    (folder / "liput.toml").write_text(TEXT)
    return folder / "liput.toml"


def run(*arguments: str, config: Path | None = None) -> Result:
    chosen = () if config is None else ("--config", str(config))
    return CliRunner().invoke(config_command, [*arguments, *chosen], standalone_mode=False)


def test_show_prints_a_settings_file_with_where_each_value_comes_from(file: Path) -> None:
    result = run("show")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"# {file}"
    assert 'reserve = "3 GB" # line 2' in lines
    assert 'language = "id" # default' in lines
    assert lines.count("# key: (set)") == lines.count("# key: (missing)") == 1
    assert KEY not in result.output
    shown, loaded = read_settings(result.stdout, file), read_settings(TEXT, file)
    assert (shown.archive, shown.profiles, shown.destinations) == (loaded.archive, loaded.profiles, loaded.destinations)


def test_show_as_json_gives_numbers_and_origins(file: Path, home: Path) -> None:
    file.write_text(f'{TEXT}[office]\nholidays = ["2026-12-25"]\n')
    document = json.loads(run("show", "--json").stdout)
    assert document["file"] == str(file)
    assert document["settings"]["office"]["holidays"] == ["2026-12-25"]
    assert document["settings"]["request"]["receive"] == "1 day"
    assert document["settings"]["archive"] == {"path": str(home / "Videos" / "Liput"), "reserve": 3_000_000_000}
    assert document["settings"]["profiles"]["1080p30"]["video_bitrate"] == 4_500_000
    assert document["settings"]["profiles"]["1080p30"]["fps"] == 30
    assert document["lines"]["archive.reserve"] == 2
    assert document["keys"] == {"youtube": "set", "kampus": "missing"}
    assert KEY not in json.dumps(document)


def test_check_is_content_with_right_settings(file: Path) -> None:
    file.with_name("keys.toml").write_text(f'youtube = "{KEY}"\nkampus = "{KEY}"')
    result = run("check")
    assert (result.return_value, result.stdout) == (0, f"{file}: nothing wrong\n")


def test_check_gives_each_problem_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[general]\nroms = 1\nroom = 1\n")
    for result in (run("check", str(wrong)), run("check", config=wrong)):
        assert result.return_value == 2
        assert result.stdout.splitlines() == [
            'wrong.toml, line 2: unknown key "roms" in [general]; did you mean "room"?',
            "wrong.toml, line 3: [general] room = 1: must be text in quotes",
        ]
    document = json.loads(run("check", str(wrong), "--json").stdout)
    assert document == {"file": str(wrong), "ok": False, "remarks": [], "problems": result.stdout.splitlines()}


def test_check_finds_what_is_missing_beside_the_file(file: Path) -> None:
    file.write_text(TEXT.replace("rtmp://", "rtmps://") + 'ca_file = "ca.pem"\n')
    result = run("check")
    assert result.return_value == 2
    assert result.stdout.splitlines() == [
        f'[destinations.kampus]: {file.with_name("keys.toml")} holds no key "kampus"',
        f"[destinations.kampus]: there is no ca_file {file.with_name('ca.pem')}",
    ]
    file.with_name("keys.toml").chmod(0o644)
    result = run("check")
    assert result.return_value == 2
    assert result.stdout.endswith(f": chmod 600 '{file.with_name('keys.toml')}'\n")
    assert len(result.stdout.splitlines()) == 1


def test_a_destination_that_needs_no_key_lacks_none(file: Path) -> None:
    file.write_text(TEXT + '[destinations.ruang]\nurl = "srt://:9000"\nmode = "listener"\n')
    file.with_name("keys.toml").write_text(f'youtube = "{KEY}"\nkampus = "{KEY}"')
    assert run("check").return_value == 0
    assert json.loads(run("show", "--json").stdout)["keys"]["ruang"] == "not needed"
    file.with_name("keys.toml").write_text(f'youtube = "{KEY}"\nkampus = "{KEY}"\nruang = "{KEY}"')
    assert "[destinations.ruang]: the key is of another form" in run("check").stdout


def test_check_finds_what_alarms_lack(file: Path) -> None:
    file.write_text(
        '[alarms]\nmail_server = "smtp://s.example"\nmail_user = "u"\nmail_from = "a@b"\nmail_to = ["c@d"]\n'
        'ca_file = "ca.pem"\n'
    )
    result = run("check")
    assert result.return_value == 2
    password, authority = result.stdout.splitlines()
    assert password.startswith("[alarms]: there is no password for the e-mail of alarms: add the line mail_password")
    assert authority == f"[alarms]: there is no ca_file {file.with_name('ca.pem')}"
    file.with_name("keys.toml").write_text('[alarms]\nmail_password = "rahasia"\n')
    file.with_name("ca.pem").touch()
    assert run("check").return_value == 0


def test_check_finds_a_key_of_the_page_that_others_can_read(file: Path) -> None:
    file.write_text('[web]\nlan = true\ntls_certificate = "aula.pem"\ntls_key = "aula.key"\n')
    certificate, key = file.with_name("aula.pem"), file.with_name("aula.key")
    certificate.touch(0o644)
    assert run("check").stdout == f"[web]: tls_key {key} cannot be read: No such file or directory\n"
    key.touch()
    for mode, status in ((0o604, 2), (0o640, 0)):
        key.chmod(mode)
        result = run("check")
        assert result.return_value == status, oct(mode)
        assert (f"every user of this PC can read the tls_key {key}" in result.stdout) == (status == 2)


@pytest.mark.parametrize(
    ("address", "secret", "is_open"),
    [
        ("srt://:9000", "", True),
        ("srt://[::]:9000", "", True),
        ("srt://127.0.0.1:9000", "", False),
        ("srt://:9000", 'ruang = { passphrase = "sepuluh-huruf" }\n', False),
    ],
)
def test_check_says_that_anybody_may_watch_an_srt_listener(
    file: Path, address: str, secret: str, *, is_open: bool
) -> None:
    file.write_text(f'[destinations.ruang]\nurl = "{address}"\nmode = "listener"\n')
    file.with_name("keys.toml").write_text(secret)
    result = run("check")
    assert result.return_value == 0, "it may be meant so"
    keys = file.with_name("keys.toml")
    said = f"[destinations.ruang]: anybody on the network can watch: {keys} has no passphrase for it"
    assert result.stdout == (f"{said}\n{file}: nothing wrong otherwise\n" if is_open else f"{file}: nothing wrong\n")
    assert json.loads(run("check", "--json").stdout) == {
        "file": str(file), "ok": True, "problems": [], "remarks": [said] if is_open else [],
    }  # fmt: skip


def test_check_finds_a_folder_that_is_missing(file: Path, tmp_path: Path) -> None:
    file.write_text(f'[destinations.web]\nurl = "file://{tmp_path}/aula%20a"\n')
    assert run("check").stdout == f"[destinations.web]: there is no folder {tmp_path}/aula a\n"
    (tmp_path / "aula a").mkdir()
    assert run("check").return_value == 0


def test_path_is_the_file_in_force(file: Path, tmp_path: Path) -> None:
    assert run("path").stdout == f"{file}\n"
    assert run("path", config=tmp_path / "other.toml").stdout == f"{tmp_path / 'other.toml'}\n"
    file.unlink()
    result = run("path")
    assert result.stdout == f"{file}\n"
    assert "no settings file" in result.stderr


def test_default_is_a_file_that_changes_nothing(home: Path) -> None:
    settings = read_settings(run("default").stdout, home / "liput.toml")
    assert settings.profiles == Settings().profiles
