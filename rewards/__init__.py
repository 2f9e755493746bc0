"""Rewards and advantages: pure functions, except ``user``, which imports and calls a user's own code."""
