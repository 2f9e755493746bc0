"""A user's own rewards: found by name, tried before the run, and called. Everything else in ``rewards`` is pure."""
