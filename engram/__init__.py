"""The composition root: settings, command line, and the commands that put the parts together."""
