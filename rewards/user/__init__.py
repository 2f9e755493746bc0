"""Rewards of a user's own: found by name, tried before the run, and called. Everything else in ``rewards`` is pure."""
