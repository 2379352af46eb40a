"""A look at a real AWS account, `make aws-check`: it reads only; with `PICTURE=…` it labels one and undoes all."""
