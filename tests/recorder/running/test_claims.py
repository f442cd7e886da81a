"""Two sessions that want the same device: the second is told which session has it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import DeviceError
from recorder.running.claims import Claim, Claims
from tests.support.errors import because

CAMERA, MICROPHONE = ("046d:0825:CAM0001", "Rig Webcam"), ("534d:2109@1-2+sound", "Stick")
FIRST = Claim(id="a1b2c3", title="Rapat senat", pid=1)
SECOND = Claim(id="d4e5f6", title="Wisuda", pid=2)


def test_the_second_is_told_who_has_it_and_has_none_of_the_others() -> None:
    first, second = Claims(FIRST), Claims(SECOND)
    first.take([CAMERA])
    with pytest.raises(DeviceError, check=because("busy")) as refused:
        second.take([MICROPHONE, CAMERA])
    assert refused.value.message == 'Rig Webcam is used by the session "Rapat senat" (a1b2c3)'
    assert "liput stop --session a1b2c3" in refused.value.hint
    first.take([MICROPHONE])  # which the second did not keep
    first.release()
    second.take([MICROPHONE, CAMERA])
    first.release()
    with pytest.raises(DeviceError, match="Wisuda", check=because("busy")):
        first.take([CAMERA])
    second.release()


def test_what_one_has_it_may_ask_for_again() -> None:
    first = Claims(FIRST)
    first.take([CAMERA])
    first.take([CAMERA, MICROPHONE])
    first.release()


@pytest.mark.parametrize("device", ["pulse:alsa_input.usb-Ä Ö/x", "../../lepas", "x" * 500, "pulse:\udcff", ""])
def test_any_id_can_be_claimed(device: str, tmp_path: Path) -> None:
    first = Claims(FIRST, tmp_path)
    first.take([(device, "it")])
    with pytest.raises(DeviceError, check=because("busy")):
        Claims(SECOND, tmp_path).take([(device, "it")])
    assert [path.parent for path in tmp_path.rglob("*.lock")] == [tmp_path / "claims"]
    first.release()


def test_a_claim_ends_with_its_process() -> None:
    code = (
        "from recorder.running.claims import *\n"
        f"Claims(Claim(id='a', title='Rapat', pid=0)).take([{CAMERA!r}])\nprint('taken', flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"taken\n"
        claims = Claims(SECOND)
        with pytest.raises(DeviceError, match='"Rapat"', check=because("busy")):
            claims.take([CAMERA])
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        claims.take([CAMERA])
        claims.release()
