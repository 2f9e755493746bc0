"""Rewards and advantages: pure, but for ``custom`` and ``lookup``, which import and call a user's own code."""
