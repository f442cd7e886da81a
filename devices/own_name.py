"""The name by which our processes are known to whoever asks what holds a device."""

OURS = "liput"
"""The command of a process of ours."""
