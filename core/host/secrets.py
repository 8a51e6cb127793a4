"""Passwords and keys of one CLOISTER_HOME."""

from core.settings.secret_files import SecretMissing, SecretName, secret, secret_store

__all__ = ["SecretMissing", "SecretName", "secret", "secret_store"]
