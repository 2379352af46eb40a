"""An IAM policy in force: a WSGI middleware around every service denies the calls that the policy does not allow."""
