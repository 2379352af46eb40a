"""What is shipped to where it runs."""
