"""Whether this machine is fit for an experiment, and what to mend."""
