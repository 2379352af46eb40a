"""Rekognition Custom Labels, laid out as moto lays out its services."""
