"""[pure] Names that services need of the topology: their consumers and the subjects people follow."""

from __future__ import annotations

#: one per partition: f"{ANALYSER_FS}{partition}"
ANALYSER_FS = "analyser-fs-"
#: retried file events, one at a time
ANALYSER_FS_RETRY = "analyser-fs-retry"
#: results of the analyser, for the resolver, in batches
RESOLVER_SIG = "resolver-sig"
RESOLVER_OUT = "resolver-out"
RESOLVER_REQ = "resolver-req"
#: of the watcher without a name; another's end with its name, see ``of_watcher``
EXECUTOR_CMD = "executor-cmd"
EXECUTOR_REQ = "executor-req"

SUBJECT_FS = "photosift.fs.>"
SUBJECT_SIG = "photosift.sig.>"
SUBJECT_DEC = "photosift.dec.>"
SUBJECT_CMD = "photosift.cmd.>"
SUBJECT_OUT = "photosift.out.>"
SUBJECT_REQ = "photosift.req.>"
SUBJECT_LEAD = "photosift.lead.>"


def of_watcher(consumer: str, watcher: str) -> str:
    """The consumer of a watcher that has a name, where there are several."""
    return f"{consumer}-{watcher}" if watcher else consumer
