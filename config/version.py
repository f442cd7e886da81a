"""The version of Liput."""

VERSION = "1.0.0"
"""As in pyproject.toml; a test compares them. importlib.metadata took 20 ms of a session's start."""
