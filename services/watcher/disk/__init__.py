"""The disk: the port that the hands act through, its adapter for this machine, and mounts. No rule decides here."""
