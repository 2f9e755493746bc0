"""Rows of a text with its entities: under which names they stand, and what their offsets count."""
