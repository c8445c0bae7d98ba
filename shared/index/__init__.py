"""The signature index behind a port: ``port`` guarantees, ``embedded`` SQLite and an exact scan, ``elastic`` later."""
