"""Deletes across the rooms."""
