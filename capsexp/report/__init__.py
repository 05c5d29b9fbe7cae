"""From the files of a sweep to its report."""
