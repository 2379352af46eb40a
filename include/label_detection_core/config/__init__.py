"""The options, the pipelines, and the kinds of models by their ARNs."""
