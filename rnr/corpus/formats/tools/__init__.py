"""Formats of one tool or data set each."""
