"""Packages, configuration and pins for the places where the pipeline runs."""
