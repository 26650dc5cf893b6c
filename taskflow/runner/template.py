"""`python -m taskflow.runner.template`: imports the app once, and forks the children of a worker from there (`--preload`).

It has one thread, runs no event loop, takes no task, opens no resource and speaks to nobody but its worker. It ends when that
ends.

A child is forked twice: the process between ends at once, so that the child becomes the worker's own (which has asked the kernel
for that: `prctl(PR_SET_CHILD_SUBREAPER)`). So the worker has its exit code, and its number is nobody else's, whatever becomes of
this process.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import socket
import sys
from typing import NoReturn

from ..message.wire import wire_message
from ..pipe import frames, preloading
from ..pipe.shared_marks import SharedMarks
from ..telemetry.logs import setup
from .child import Place, prepare, work
from .fitness import unfit
from .process import flush, leave_signals_to_the_worker, write_output_at_once


def run() -> int:
    """Read the command line that the worker wrote, and fork its children; what returns is one of those."""
    parser = argparse.ArgumentParser(prog="python -m taskflow.runner.template")
    parser.add_argument("--app", required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="text")
    parser.add_argument("--log-errors", action="store_true")
    options = parser.parse_args()
    leave_signals_to_the_worker()
    write_output_at_once()
    setup(options.log_level, options.log_format, errors=options.log_errors)
    os.set_inheritable(options.socket, False)
    control = socket.socket(fileno=options.socket)

    def failed(value: frames.ImportFailed) -> None:
        error, trace = preloading.shortened(value.error), preloading.shortened(value.traceback)
        control.send(preloading.packet(preloading.Failed(error, trace)))

    with contextlib.suppress(ConnectionError):
        app = prepare(options.app, failed)
        if app is None:
            return 2
        if why := unfit(control.fileno()):
            control.send(preloading.packet(preloading.Unfit(preloading.shortened(why))))
            _end()
        wire_message()  # a child has it, too
        # What is there now stays: were it not frozen, each collection in a child would write to it, and so copy it.
        gc.collect()
        gc.freeze()
        control.send(preloading.packet(preloading.Ready()))
        fork, connection, memory = _next_child(control)
        marks = SharedMarks(memory, fork.slots)
        place: Place = "main" if fork.main_thread else "threads"
        return work(app, connection, marks, fork.slots, place=place, most=fork.most)
    return _end()


def _next_child(control: socket.socket) -> tuple[preloading.Fork, socket.socket, int]:
    """Fork what the worker asks for, until it ends; returns in each child, with what that is and its descriptors."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(
            control, preloading.LONGEST_PACKET, 2, socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            _end()
        fork = preloading.decode_fork(data)
        answer: preloading.FromTemplate
        if why := unfit(control.fileno()):
            answer = preloading.Unfit(preloading.shortened(why))
        else:
            flush()  # or each child would write it again
            pid, error = _fork_twice()
            if not pid and not error:
                control.close()
                os.setsid()  # as a child that is started: see `worker.launch`
                return fork, socket.socket(fileno=descriptors[0]), descriptors[1]
            answer = preloading.Forked(pid, error)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(preloading.packet(answer))


def _fork_twice() -> tuple[int, str]:
    """The number of a new process, whose parent is the worker; or why there is none; or neither, in that process."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return 0, str(error)
    if between == 0:
        os.close(reading)
        try:
            pid = os.fork()
        except OSError as error:
            os.write(writing, f"0 {error}".encode())
            os._exit(0)
        if pid:
            os.write(writing, b"%d " % pid)
            os._exit(0)
        os.close(writing)
        return 0, ""
    os.close(writing)
    text = os.read(reading, 4096).decode()
    os.close(reading)
    os.waitpid(between, 0)  # from here on the child is the worker's
    number, _, why = text.partition(" ")
    return (int(number), why) if number else (0, "the process in between was ended")


def _end() -> NoReturn:
    """End without the app's `atexit` functions: what they would undo is the children's."""
    flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
