"""The features of a recorder, by module. Imports nothing: lower layers read these names and load the modules."""

SEAL_STEPS = (
    "recorder.features.dossier.packing",
    "recorder.features.slides.slides_step",
    "recorder.features.report.report_step",
)
"""Modules with a STEP (recorder/archive/seal_step.py), in the order in which sealing runs them."""
