"""Events, their wire form, and the log that keeps them: an embedded SQLite log and Kafka behind one protocol."""
