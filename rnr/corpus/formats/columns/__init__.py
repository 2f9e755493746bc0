"""Column files: a token and its tag on each line."""
