"""Files that are complete or absent, lines of JSON, text, and room on a disk."""
