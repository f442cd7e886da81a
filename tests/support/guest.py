"""Whether this is one of the rig's machines, of which tests/rig/guest-init says so."""

import os

IN_GUEST = "LIPUT_RIG_GUEST" in os.environ
