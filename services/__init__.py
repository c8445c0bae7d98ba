"""The services and what composes them: ``watcher``, ``analyser``, ``resolver``; ``bootstrap``, ``standalone``, ``cli``."""
