"""Looking on at a sweep: what it is doing, how long it will take, what is known so far. It only reads the files that
the sweep writes."""
