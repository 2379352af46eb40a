"""A check of a real AWS account, `make aws-check`: read-only; with `PICTURE=…` it labels one picture and cleans up."""
