"""Other libraries on the same events: the files that go to and fro, their programs, and how they are installed."""
