"""What a run's tasks do."""
