"""The penalty of a completion that comes close to the token limit."""


def overlong(tokens: int, limit: int, buffer: int) -> float:
    """In [-1, 0]: 0 up to ``limit - buffer`` tokens, then falling in a straight line to -1 at ``limit`` (the soft
    punishment of DAPO, arXiv 2503.14476). Of 100 tokens with a buffer of 20, 90 tokens cost 0.5."""
    return -min(1.0, max(0.0, (tokens - limit + buffer) / buffer)) if buffer else 0.0
