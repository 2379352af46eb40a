"""Labels one image and moves it from the source bucket to the final bucket."""
