"""CSV, and tables by column in JSON."""
