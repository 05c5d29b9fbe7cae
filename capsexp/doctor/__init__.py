"""Checks whether this machine is fit for an experiment, and what to fix."""
