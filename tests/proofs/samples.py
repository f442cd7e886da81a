"""What the samples of the proofs share."""

SEED = 20261125
"""Of what is random in them."""
