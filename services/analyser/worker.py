"""A worker process: takes files from its standard input, says their results on its standard output, one a line.

It may be killed at any instruction: by a damaged file, by its time limit, with its parent. It owns nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import BinaryIO

from services.analyser.examining import Options, examine
from services.analyser.results import decode_task, encode_result

READY = b'{"ready":true}\n'
#: memory beside the limit: the interpreter's own growth, buffers of the libraries
_SLACK = 96 << 20
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: the parent's pid, and the options as JSON."""
    parent, options = int(sys.argv[1]), Options(**json.loads(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us when it is done
    _die_with(parent)
    answers = _own_output()
    _load_decoders()
    _limit_memory(options.memory_limit)
    answers.write(READY)
    _silence_libraries()
    serve(sys.stdin.buffer, answers, options)


def serve(tasks: BinaryIO, answers: BinaryIO, options: Options) -> None:
    """Work until there are no more tasks."""
    for line in tasks:
        answers.write(encode_result(examine(decode_task(line), options)))


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)


def _own_output() -> BinaryIO:
    """The pipe to the parent, out of reach of libraries that print."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _silence_libraries() -> None:
    """libtiff and others write to standard error themselves; their complaints come as reasons."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _load_decoders() -> None:
    from shared.imaging import decoding  # noqa: F401  loaded before the first file's time counts


def _limit_memory(limit: int) -> None:
    """Private memory beyond the limit is refused to the decoder that asks; what counts before loading comes first."""
    with open("/proc/self/status", encoding="ascii") as status:
        data = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (data + limit + _SLACK,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
