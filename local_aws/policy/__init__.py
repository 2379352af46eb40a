"""An IAM policy in force: a WSGI middleware around every service that denies what the policy does not allow."""
