"""What puts the pipeline somewhere: stacks, charts, packages, and the versions that they have."""
