"""Measured ratios, one question per file."""
