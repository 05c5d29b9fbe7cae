"""Names of files in a run's folder that several processes use."""

JOB = "job.json"  # what a run is to its sweep; without it the folder's name tells
SERVER = "server.json"  # what our server says once it is ready, or cannot be
SAMPLES = "samples.json"  # what the client has to send, once it has read it
CLIENT = "client.json"  # what the client says of itself in the end
PASSING = ".reference"  # in a sweep's folder: jobs that make references, while they do
OWNER = ".owner.json"  # of an attempt: who makes it
BEAT = ".alive"  # of an attempt: its owner's signs of life
PIDS = ".pids"  # a file for each process, which says what it is
WARM = ".warm"  # what came of the first requests
MONITOR_READY = ".monitor-ready"
FAULTS_READY = ".faults-ready"
PROGRESS = ".progress"  # of the client: one JSON object, written over and over in place
CONFIG = ".config.yaml"  # what the processes of a run are told
REFERENCE_CONFIG = ".reference.yaml"  # what plain processes are to be timed with, before the run
REFERENCE_RUNS = ".reference.json"  # how fast they were
