"""Rewards and advantages: pure, but for ``user``, which imports and calls a user's own code."""
