"""Whether an update waits for a restart."""

from pathlib import Path

from devices.restart import RestartPlaces, are_drivers_gone, is_restart_asked_for


def places(folder: Path, release: str = "6.12.1-amd64") -> RestartPlaces:
    return RestartPlaces(run=folder, modules=folder / "modules", release=release)


def test_the_mark_of_an_update_asks_for_a_restart(tmp_path: Path) -> None:
    assert not is_restart_asked_for(places(tmp_path))
    (tmp_path / "reboot-required").touch()
    assert is_restart_asked_for(places(tmp_path))


def test_drivers_are_gone_when_only_another_kernel_has_some(tmp_path: Path) -> None:
    assert not are_drivers_gone(places(tmp_path))
    (tmp_path / "modules/6.12.1-amd64/kernel").mkdir(parents=True)
    assert not are_drivers_gone(places(tmp_path))
    assert are_drivers_gone(places(tmp_path, "6.11.9-amd64"))


def test_what_is_left_of_another_kernel_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "modules/6.12.1-amd64").mkdir(parents=True)
    assert not are_drivers_gone(places(tmp_path, "6.11.9-amd64"))
