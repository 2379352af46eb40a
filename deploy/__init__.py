"""Deployment of the pipeline: stacks, charts, packages, and their pinned versions."""
