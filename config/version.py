"""Which Liput this is."""

VERSION = "1.0.0rc1"
"""As in pyproject.toml, which a test compares. Read from what is installed it took a session's start 20 ms."""
