"""The analyser: reads each file once, signs it, and puts it into the index.

Consumes: FS. Publishes: SIG (``FileAnalysed``, ``FileUnreadable``, ``FileForgotten``), DLQ.
Owns: the writing side of the index. Pure: goldberg, facts, endings, remembering, results.
Edges: reading (the file), examining (in a worker process: read, hash, decode, sign), workers (the processes; a bad
file costs one of them, S17), storing (the index).
"""
