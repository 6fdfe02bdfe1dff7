"""The HTTP API over a running learner, its client, and the web page, which speaks to the API alone."""
