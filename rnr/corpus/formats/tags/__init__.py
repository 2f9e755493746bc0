"""Tags of tokens: how they are written, and which mentions they tell."""
