"""The resolver: finds neighbours, forms stars around keepers, decides, and publishes commands.

Consumes: SIG, OUT, REQ (apply). Publishes: DEC, CMD, DLQ/DLQC. Owns: its open decisions and what was replaced by what.
Pure: clustering, ranking, planning. Edge: store.
"""
