"""What more workers, users or machines would come to: predicted by simulation from what a sweep measured."""
