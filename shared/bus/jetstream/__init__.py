"""NATS JetStream behind the port: the only package that speaks ``nats``.

``link`` is one user's connection, ``bus`` a service's publishing, consuming and following over one or two of them,
``pulling`` and ``deliveries`` what a consumer hands out, ``steward`` declares, measures and clears up.
"""

from shared.bus.jetstream.bus import JetStreamBus, connect
from shared.bus.jetstream.steward import Steward, setup

__all__ = ["JetStreamBus", "Steward", "connect", "setup"]
