"""Rekognition Custom Labels, with the file layout of moto's services."""
