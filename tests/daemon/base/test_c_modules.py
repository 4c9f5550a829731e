"""The daemon's `json`, `socket` and `signal` are the C modules of Python's own; they must do what those do."""

from __future__ import annotations

import json as standard
import os
import re
import signal as standard_signal
import socket as standard_socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.compiler.expression.regex import compile_pattern
from nfa.daemon.base import json, signal, socket
from nfa.daemon.base.portable import deque, searcher

ROOT = Path(__file__).resolve().parents[3]
_SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(_SIMPLE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(_VALUES)
def test_json_is_read_and_written_as_by_python(value: object) -> None:
    """An answer to a page, or a record of a sink, would not be what its reader takes it for."""
    assert json.dumps(value) == standard.dumps(value)
    assert json.loads(json.dumps(value)) == value == json.loads(f" \n{json.dumps(value)}\t".encode())


@given(_VALUES)
def test_compact_json_is_the_same_without_blanks(value: object) -> None:
    """A server would get bytes that no parser takes."""
    assert json.compact(value) == standard.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@pytest.mark.parametrize("text", ["", " ", "{", "[1", "nul", "1 2", '{"a":1}}', "\x01", '"\x01"', '"\\ud800', "[" * 100000])
def test_what_is_no_json_is_refused(text: str) -> None:
    """A caller of the control socket would end the daemon, or be taken for one who asked something else."""
    with pytest.raises((ValueError, RecursionError)):
        json.loads(text)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), float("nan")])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    """A sink would send `NaN`, which no other program reads."""
    with pytest.raises((TypeError, ValueError)):
        json.compact(value)


def test_a_socket_accepts_and_closes(tmp_path: Path) -> None:
    """Nobody could ask the daemon anything, and each question would cost a descriptor."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        with standard_socket.socket(standard_socket.AF_UNIX, standard_socket.SOCK_STREAM) as caller:
            caller.connect(path)
            connection, _ = listener.accept()
            with connection:
                assert not os.get_inheritable(connection.fileno())
                connection.sendall(b"yes")
            assert caller.recv(9) == b"yes"
            assert caller.recv(9) == b""
        assert connection.fileno() == -1
    assert listener.fileno() == -1


def test_names_are_those_of_python() -> None:
    """A constant of another value would open another kind of socket, or send another signal."""
    for ours, theirs, names in (
        (socket, standard_socket, ("AF_INET", "AF_INET6", "AF_UNIX", "SOCK_STREAM", "SOCK_DGRAM", "SOL_SOCKET", "SO_ERROR")),
        (signal, standard_signal, ("SIGHUP", "SIGTERM", "SIGINT", "SIGKILL", "SIGCHLD", "SIG_DFL", "SIG_IGN", "SIG_BLOCK")),
    ):
        for name in names:
            assert getattr(ours, name) == getattr(theirs, name), name
    assert deque((1, 2, 3), 2) == deque((2, 3))


@given(st.text(alphabet="abA.-x1é", max_size=30))
@pytest.mark.parametrize("pattern", ["^a+b", r"(www|ftp)\.[a-f]", "(?P<name>x|é)1$", r"\bab\b", "[^ab]x"])
def test_a_pattern_finds_what_re_finds(pattern: str, text: str) -> None:
    """An expression would match other hosts than `nfa eval` says."""
    plan = compile_pattern(pattern).data
    assert plan["kind"] == "re", "the pattern is for an automaton: it says nothing here"
    assert bool(searcher(plan["pattern"], plan["program"])(text)) == bool(re.search(pattern, text, re.IGNORECASE))


@pytest.mark.parametrize("text", ["", "{", "nul", '{"a"}', '"\\x01"', "[1,]"])
def test_what_is_no_json_is_refused_without_the_standard_module(text: str) -> None:
    """The daemon does not load `json`: a broken record would count as a fault, or not at all."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from nfa.daemon.base import json, portable\n"
        "for read in (json.loads, lambda text: portable.parse_json(text.encode())):\n"
        "    try: read(sys.argv[1])\n"
        "    except ValueError: print('refused')\n"
        "print('enum' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program, text], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["refused", "refused"]
