"""The definitions of the options, one module per idea. `label_detection_core.config.settings` puts them together."""
