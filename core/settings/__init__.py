"""Typed environment and Django settings."""
