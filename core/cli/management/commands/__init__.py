"""Management commands behind ./cloister."""
