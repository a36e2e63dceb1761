"""The driver of the conformance suite: which clients there are, how they are installed, run and reported."""
