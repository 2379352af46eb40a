"""A look at a real AWS account: `make aws-check` reads only; with `PICTURE=…` it labels one picture and undoes it all."""
