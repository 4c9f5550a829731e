"""Other processes: children that answer, programs, lookups of names."""
