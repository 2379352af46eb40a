"""The lease on a model, and its history from earlier runs."""
