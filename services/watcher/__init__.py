"""The watcher: eyes and hands, and the only code that writes to the photo tree.

Publishes: FS (``FileSettled``, ``FileMoved``, ``FileGone``, ``PassFinished``), OUT (outcomes, answers).
Consumes: CMD (``TakeFile``, ``RemoveItem``), REQ (restore, adopt, confirm, allow).
Owns: the snapshot of what is known, the journal of what was done, and ``.photosift`` folders below roots and target.
Eyes: settling, ignoring, units (pure), observer, rescan, snapshot. Hands: guards (pure), executor, disk, journal.
"""
