"""The sensors: waiting for images, and for the model."""
