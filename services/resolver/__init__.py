"""The resolver: finds neighbours, forms stars around keepers, decides, and publishes commands.

Consumes: SIG, OUT, REQ (apply; allow and confirm for what they unlock). Publishes: DEC, CMD, DLQ/DLQC.
Owns: its open decisions and what was replaced by what. The way: service, sweep -> neighbourhood ->
rounds -> outbox. One at a time decides: standby (leading, inheriting).
Pure: ranking clustering planning checks commanding policy standins. Last copies: removals.
Edge: store (contentbook decisionbook removalbook outbox schema).
"""
