"""Keys of the configuration by what they are for: what a run is compared with, and whether it is made anew."""

# Keys that tell runs of one configuration apart, or that do not change what is measured.
SWEEP_KEYS = frozenset(
    {"trial", "trials", "trials_max", "cooldown", "name", "resume", "redo", "executor", "live", "search"}
)
# Groups by which runs are judged, and by which a report can be made anew.
JUDGING = ("thresholds", "slo", "validity", "report")
# Groups that judge or file what was measured, and change nothing of it.
AFTERWARDS = (*JUDGING, "archive")
SCHEDULE = "schedule"  # in a fingerprint: what the table holds by which requests begin
