"""Whether the processor is slowed down, as the kernel counts it."""

from pathlib import Path

from devices.throttling import speed_limit, throttle_count


def core(sys: Path, number: int, **files: int) -> None:
    for name, value in files.items():
        path = sys / f"devices/system/cpu/cpu{number}" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def test_every_core_that_heat_has_slowed_counts(tmp_path: Path) -> None:
    core(tmp_path, 0, thermal_throttle__core_throttle_count=3, thermal_throttle__package_throttle_count=1)
    core(tmp_path, 11, thermal_throttle__core_throttle_count=4, thermal_throttle__core_throttle_total_time_ms=999)
    assert throttle_count(tmp_path) == 8


def test_the_core_that_is_held_back_most_is_the_limit(tmp_path: Path) -> None:
    core(tmp_path, 0, cpufreq__cpuinfo_max_freq=4_000_000, cpufreq__scaling_max_freq=4_000_000)
    assert speed_limit(tmp_path) == 1.0
    core(tmp_path, 1, cpufreq__cpuinfo_max_freq=4_000_000, cpufreq__scaling_max_freq=1_600_000)
    assert speed_limit(tmp_path) == 0.4


def test_a_processor_that_tells_nothing_is_not_known(tmp_path: Path) -> None:
    core(tmp_path, 0, cpufreq__cpuinfo_max_freq=0, cpufreq__scaling_max_freq=0, thermal_throttle__other=1)
    assert throttle_count(tmp_path) is None
    assert speed_limit(tmp_path) is None
    (tmp_path / "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count").write_text("many\n")
    assert throttle_count(tmp_path) is None
