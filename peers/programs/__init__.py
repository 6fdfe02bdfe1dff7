"""One program a peer, run by an interpreter of its own environment: `python -m peers.programs.NAME TASK ANSWER MODEL`."""
