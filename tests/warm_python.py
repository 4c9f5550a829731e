"""Python with nfa imported already: the tests start it some two thousand times, and a start with its imports takes 0.13 s.

In: a command such as `python -m nfa check` or `python -P -c PROGRAM`, where `python` is the file that `WarmPython.path` names.
Out: what that command does: in a process of its own, with its own arguments, folder, environment, descriptors and network
namespace, killed when its starter is. A server that has imported the modules forks for each; `warm_call` asks it to.

Only the imports are not made again. So what a test says about starts, imports or memory needs a cold start: NFA_COLD=1 in the
environment gives one to all. A process that is started with other rights, namespaces or limits than the server's, or another
language, time zone or setting of Python, gets one by itself.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from warm_call import WARM

AT_START = ("PYTHON", "LC_", "LANG", "TZ", "MALLOC_", "NFA_")
"""What of the environment may count before a program's first statement, or while it imports modules."""
MODULES = ("nfa.cli", "nfa.compiler.compile", *(f"nfa.cli.{name}" for name in ("run", "answer", "check", "explain", "status")))
CALL = Path(__file__).with_name("warm_call.py")
_NEWNET = 0x40000000  # CLONE_NEWNET of linux/sched.h


def _like(process: str) -> list[object]:
    """What a process has of its starter, and keeps. `process`: its folder in /proc. Raises OSError when it is gone."""
    kept = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:", "SigBlk:")
    with open(f"{process}/status") as file:
        lines = file.readlines()
    rights: list[object] = [line for line in lines if line.startswith(kept)]
    # But for the C library's own, 32 and 33, which posix_spawn leaves ignored.
    rights += [int(line.split()[1], 16) & ~(3 << 31) for line in lines if line.startswith("SigIgn:")]
    with open(f"{process}/limits") as file:
        limits = file.read()
    spaces = [os.readlink(f"{process}/ns/{name}") for name in ("user", "mnt", "pid", "ipc", "uts")]
    return [rights, limits, spaces, os.readlink(f"{process}/root")]


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


def _become(command: list[str], folder: str, environment: Mapping[str, str], descriptors: Sequence[int]) -> int:
    """Be what Python would be that was started so. Returns the exit code."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)  # the server's, whose owners live as long as we do
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if command[0] == "-P":
        del command[0]
    else:
        sys.path.insert(0, "" if command[0] == "-c" else folder)
    kind, what = command[:2]
    sys.argv = [kind, *command[2:]]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _take(connection: socket.socket) -> tuple[list[str], list[int]]:
    """What a caller sends, and its descriptors."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    size, given = int.from_bytes(head, "big"), b""
    while len(given) < size:
        given += connection.recv(size - len(given))
    return given.decode(errors="surrogateescape").split("\0"), descriptors


def _fork(connection: socket.socket, own: list[object], starts: Mapping[str, str]) -> int:
    """Do what a caller asks for, in a new process. Returns its number; 0: the caller has to start Python itself."""
    words, descriptors = _take(connection)
    try:
        end = words.index("")
        command, folder, pairs = words[:end], words[end + 1], words[end + 2 :]
        environment = dict(pair.split("=", 1) for pair in pairs)
        caller = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
        known = command[:1] in (["-c"], ["-m"]) or command[:2] == ["-P", "-c"]
        if not known or at_start(environment) != starts or _like(f"/proc/{caller}") != own:
            connection.sendall(b"cold")
            return 0
        space = os.open(f"/proc/{caller}/ns/net", os.O_RDONLY)
        descriptors.append(space)
        connection.sendall(WARM)
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: we end with the server
            if ctypes.CDLL(None).setns(space, _NEWNET) == 0:
                code = _become(command, folder, environment, descriptors[:3])
                sys.stdout.flush()
                sys.stderr.flush()
        except BrokenPipeError:
            pass
        finally:
            os._exit(code)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _serve(path: str, life: int) -> None:
    """Answer callers until `life`, a pipe, ends."""
    del sys.path[0]  # the folder of this file: no program has it
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is here stays, and is shared with those who are forked
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    if os.fork():
        os._exit(0)  # it is there, and no child of the tests: some of them want to see that they have none
    starts, own = at_start(os.environ), _like("/proc/self")
    poller = select.poll()
    for each in (life, listener.fileno()):
        poller.register(each, select.POLLIN)
    callers: dict[int, int] = {}
    ends: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == life:
                os._exit(0)
            elif descriptor == listener.fileno():
                connection = listener.accept()[0]
                child = _fork(connection, own, starts)
                if child:
                    end = os.pidfd_open(child)
                    callers[connection.fileno()], ends[end] = child, (child, connection)
                    for each in (end, connection.fileno()):
                        poller.register(each, select.POLLIN)
            elif descriptor in ends:
                child, connection = ends.pop(descriptor)
                poller.unregister(descriptor)
                os.close(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                if callers.pop(connection.fileno(), 0):
                    poller.unregister(connection.fileno())
                    try:
                        connection.sendall(b"%d" % (code if code >= 0 else 128 - code))
                    except OSError:
                        pass  # it is gone in this moment
                connection.close()
            elif descriptor in callers:
                poller.unregister(descriptor)
                os.kill(callers.pop(descriptor), signal.SIGKILL)  # the caller is gone


class WarmPython:
    """A server, and the file that stands for Python. `environment`: that of the programs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.path = str(folder / "python")
        socket_path = str(folder / "socket")
        Path(self.path).write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {CALL} {socket_path} "$@"\n')
        Path(self.path).chmod(0o755)
        theirs, self._life = os.pipe()
        subprocess.run(
            [sys.executable, __file__, socket_path, str(theirs)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs], env=dict(environment), check=True,
        )  # fmt: skip
        os.close(theirs)

    def close(self) -> None:
        """The server sees that its pipe ends."""
        os.close(self._life)
        self._folder.cleanup()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
