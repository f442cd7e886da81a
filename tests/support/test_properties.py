"""Hypothesis waits as long as a shared machine takes."""

from hypothesis import HealthCheck, settings


def test_no_property_fails_for_being_slow() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
