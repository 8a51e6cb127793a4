"""Users, groups, collections, membership, identity for row-level security."""
