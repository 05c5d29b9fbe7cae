"""Computes metrics and verdicts. Pure: values in, values out."""
