"""What runs and sweeps came to, as typed and frozen values: the facts of a run, its figures, the report."""
