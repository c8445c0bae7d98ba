"""The kernel: the words the services speak, and the two things they speak through (bus and index).

It imports no service. Pure modules: ``paths``, ``signature``, ``errors``, ``messages``.
"""
