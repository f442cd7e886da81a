"""What an encoder holds when another one has taken over from it: nothing."""

import json
from pathlib import Path

from tests.support.command import run_python

# In a process of its own, in which nothing else takes memory. x264 has three threads and pictures of a look-ahead.
PROGRAM = """
import json
from dataclasses import replace
from fractions import Fraction
import av, psutil
from capture.source import Matrix
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.relief import CHEAP, CHEAPEST
from tests.support.held import own_mb
from tests.support.moving import Moving

settings = VideoSettings(1280, 720, Fraction(30), Matrix.BT709, 2_000_000, 2_000_000)
moving, process = Moving(1280, 720), psutil.Process()
begin, held, number = own_mb(process), [], 0
encoder = Encoder(settings, None)
for params in ("", CHEAP, CHEAPEST, CHEAP, ""):
    if number:
        encoder.change_video(replace(settings, more_params=params))
    for _ in range(40):
        encoder.encode_video(moving.picture(number), number * 3000)
        number += 1
    encoder._pictures._encoders[0].wait()
    encoder.encode_video(moving.picture(number), number * 3000)
    number += 1
    held.append(own_mb(process) - begin)
print(json.dumps(held))
encoder.close()
"""


def test_steps_take_no_memory_beyond_that_of_one_encoder(tmp_path: Path) -> None:
    done = run_python(tmp_path, PROGRAM)
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)
    assert first > 30
    assert max(others) < 1.5 * first, (first, others)
