"""The only SQL with vector operators, rank fusion, and the search service."""
