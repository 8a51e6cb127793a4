"""Jobs and steps: leases, fencing tokens, attempts; PostgreSQL is the truth."""
