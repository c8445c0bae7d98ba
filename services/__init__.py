"""``watcher``, ``analyser`` and ``resolver``, and what composes them (``bootstrap``, ``standalone``, ``cli``)."""
