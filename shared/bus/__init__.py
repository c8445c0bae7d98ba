"""The bus: NATS JetStream behind a port.

``port`` guarantees; ``names``, ``topology`` and ``accounts`` are data; ``jetstream`` adapts, ``server`` is the
bundled one, ``consuming`` is how a service works through a consumer.
"""
