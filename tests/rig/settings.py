"""Settings of sessions on the rig's devices, put together by those who record from them."""

ARCHIVE = """
[archive]
reserve = "50 MB"
"""
"""A guest's disk is memory, of which there is little."""
NO_REPORT = """
[report]
made = false
"""


def rig_profile(fps: int) -> str:
    """Return the profile `rig{fps}`, of the size that the devices give; keys that follow it are its own.

    An emulated machine does not always keep up, and tests count pictures: none is left out on purpose.
    """
    return f"""
[video]
step_down = false

[profiles.rig{fps}]
width = 320
height = 240
fps = {fps}
video_bitrate = "300k"
"""
