"""[pure] What the services say to each other: one module per hop, in the order of the flow.

``files`` (watcher) -> ``analysis`` (analyser) -> ``resolution`` (resolver) -> ``commands`` (resolver)
-> ``outcomes`` (executor, in the watcher); ``requests`` are a person's; ``envelope`` wraps them all.
"""
