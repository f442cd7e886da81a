"""A sample of `./run prove service`, in a machine of its own beside those of the guest tests, and as patient."""

import pytest

from tests.proofs import service
from tests.rig.vm import PATIENT
from tests.support.figures import in_full


@pytest.mark.vm
@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("machines")
def test_a_session_outlives_its_daemon_under_a_real_systemd() -> None:
    figures = service.run(("install", "session", "killed"), longest_s=2000, niceness=PATIENT)
    assert figures["holds"], in_full(figures)
