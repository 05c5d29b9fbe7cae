"""A user's proof that this installation, on this machine, measures what is there: known truth is planted, a sweep is
made as any other, and its report.json is held against what was planted."""
