"""When requests begin: a file for each kind of load."""
