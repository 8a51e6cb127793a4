"""Parsers of users' files; they run only inside the sandbox."""
