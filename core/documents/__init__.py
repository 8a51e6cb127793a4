"""Documents, their parts, and content-addressed storage."""
