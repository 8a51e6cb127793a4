"""Engines: one library each, behind the protocols."""
