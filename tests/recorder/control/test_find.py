"""Which of the sessions that run is meant."""

from recorder.control.find import running, running_as
from recorder.status import SessionStatus
from tests.support.served import ServedRecorder


def test_one_that_is_named_is_found_and_no_other_is_asked() -> None:
    """One that hangs would hold up for seconds whoever starts or ends another."""
    asked: list[str] = []

    def counted(status: SessionStatus) -> SessionStatus:
        asked.append("Dua")
        return status

    with ServedRecorder("Satu") as one, ServedRecorder("Dua", counted):
        found = running_as(one.info.id)
        assert found
        assert (found.info.title, found.status is not None, asked) == ("Satu", True, [])
        assert running_as(one.info.id[:-1]) is None, "only its whole id means it"
        assert (len(running()), asked) == (2, ["Dua"])
