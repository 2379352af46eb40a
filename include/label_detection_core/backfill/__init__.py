"""Images that lie in the source bucket and that no message announces."""
