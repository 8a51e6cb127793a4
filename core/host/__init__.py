"""The embedded default: PostgreSQL, broker, supervisor, doctor, egress guard."""
