"""The features of a recorder, by module. Imports nothing: lower layers read these names and load the modules."""

SEAL_STEPS: tuple[str, ...] = (
    "recorder.features.dossier.packing",
    "recorder.features.slides.slides_step",
    "recorder.features.report.report_step",
)
"""Modules with a STEP (recorder/archive/seal_step.py), in the order in which sealing runs them."""

SESSION_HOOKS: tuple[str, ...] = (
    "recorder.features.load_shedding.load_hook",
    "recorder.features.conference.conference_hook",
    "recorder.features.profiler.profiler_hook",
)
"""Modules with a `make_hook` (recorder/session/hooks.py), in the order in which a session calls them."""
