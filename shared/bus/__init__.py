"""The bus: NATS JetStream behind a port. ``port`` guarantees, ``topology`` data, ``jetstream`` adapter, ``server`` bundled."""
