"""What writes events into the log: readers of data sets, the synthetic stream, the replay clock, live ingestion."""
