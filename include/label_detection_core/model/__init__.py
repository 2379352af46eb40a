"""Who holds a model, and what is known of its earlier runs."""
