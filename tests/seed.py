"""The seed of the embedded AWS's oddities: random for each session, printed, and fixed by LABEL_DETECTION_SEED."""

import os
import secrets

VARIABLE = "LABEL_DETECTION_SEED"
# In the environment, so that the workers of xdist have the one that the header names.
SEED = int(os.environ.setdefault(VARIABLE, str(secrets.randbelow(1_000_000))))
