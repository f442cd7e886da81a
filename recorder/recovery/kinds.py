"""Kinds of events that recovery tells of."""

RECOVERED_KIND = "session-recovered"
"""The event that recovery itself adds to a log."""
