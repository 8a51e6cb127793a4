"""Prompting, refusal, attribution and the stored, streamed answer."""
