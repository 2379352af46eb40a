"""The seed of the embedded AWS's oddities: random for each session, printed, and fixed by LABEL_DETECTION_SEED."""

import os
import secrets

VARIABLE = "LABEL_DETECTION_SEED"
# Kept in the environment, so that xdist's workers use the seed that the header prints.
SEED = int(os.environ.setdefault(VARIABLE, str(secrets.randbelow(1_000_000))))
