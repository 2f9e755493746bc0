"""Rows of tokens with tags or spans."""
