"""`nfa replay` is to its clients what netifyd is: the same bytes, the same greeting, the same refusals."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/samples.py
import samples
from waiting import PATIENCE

SHARED = Path(os.environ.get("NFA_SHARED", Path(__file__).parents[3] / "shared"))
MIX = SHARED / "data" / "streams" / "live-mix15.bin.gz"

COMMAND = """
import argparse, sys
from nfa.cli import replay
parser = argparse.ArgumentParser(prog="nfa replay")
replay.add_arguments(parser)
sys.exit(replay.run(parser.parse_args()))
"""
HEAD = [samples.hello(), samples.status(), samples.definitions()]
HEAD_BYTES = b"".join(map(samples.frame, HEAD))
FLOWS = [samples.flow(local_port=40000 + number) for number in range(20)]
RECORDING = b"".join(map(samples.frame, HEAD + FLOWS))

Start = Callable[..., "Replay"]


class Replay:
    """A running `nfa replay` and the way to its socket."""

    def __init__(self, *arguments: str, listening: bool = True) -> None:
        command, pipe = [sys.executable, "-c", COMMAND, *arguments], subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.said = ""  # what it said up to the line that tells the address
        self.address: str | tuple[str, int] = ""
        while listening and not self.address:
            assert self.process.stderr
            message = self.process.stderr.readline()
            self.said += message
            found = re.search(r"listening on (?:unix://(\S+)|tcp://\[?(\S+?)\]?:(\d+)),", message)
            assert message, self.said
            if found:
                self.address = found[1] or (found[2], int(found[3]))

    def client(self, receive_buffer: int = 0) -> socket.socket:
        """A connected client."""
        if isinstance(self.address, str):
            client = socket.socket(socket.AF_UNIX)
        else:
            client = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE)
        client.connect(self.address)
        return client

    def end(self) -> tuple[int, str, str]:
        """Exit code, what it printed, and its messages."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `nfa replay`; what still runs at the end of the test is killed."""
    running: list[Replay] = []

    def started(*arguments: str | Path, listening: bool = True) -> Replay:
        running.append(Replay(*map(str, arguments), listening=listening))
        return running[-1]

    yield started
    for replay in running:
        replay.process.kill()
        replay.process.communicate()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording"
    path.write_bytes(RECORDING)
    return path


def listen(tmp_path: Path) -> tuple[str, str]:
    return "--listen", f"unix://{tmp_path}/netifyd.sock"


def read(client: socket.socket, size: int = 0) -> bytes:
    """The next `size` bytes, or all until the other side closes."""
    data = bytearray()
    while not size or len(data) < size:
        chunk = client.recv(min(1 << 20, size - len(data)) if size else 1 << 20)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def closed(client: socket.socket) -> bool:
    """True when the other side has closed or reset the connection (waits for it)."""
    try:
        return not client.recv(1)
    except ConnectionError:
        return True


@pytest.mark.skipif(not MIX.exists(), reason="no shared recordings")
@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_real_recording_is_served_byte_for_byte(where: str, start: Start, tmp_path: Path) -> None:
    """What a client does with the replay would say nothing about netifyd."""
    address = listen(tmp_path) if where == "unix" else ("--listen", "tcp://127.0.0.1:0")
    replay = start(MIX, *address, "--speed", "full")
    assert read(replay.client()) == gzip.decompress(MIX.read_bytes())
    code, output, errors = replay.end()
    assert code == 0
    assert re.fullmatch(r"sent 9039 records \(5\.8 MB\) to 1 client in \d+\.\d s\n", output)
    assert errors == ""


@pytest.mark.parametrize("form", ["framed", "lines", "framed gzip", "lines gzip"])
def test_all_forms_of_a_recording_are_served_alike(form: str, start: Start, tmp_path: Path) -> None:
    """A user would have to convert a recording first."""
    make = samples.frame if form.startswith("framed") else samples.payload
    data = b"".join(map(make, HEAD + FLOWS))
    path = tmp_path / "recording"
    path.write_bytes(gzip.compress(data) if form.endswith("gzip") else data)
    replay = start(path, *listen(tmp_path), "--speed", "full")
    assert read(replay.client()) == RECORDING
    assert replay.end()[0] == 0


def test_newline_serves_lines_without_headers(recording: Path, start: Start, tmp_path: Path) -> None:
    """A version 5 sink with its header off could not be tried."""
    replay = start(recording, *listen(tmp_path), "--speed", "full", "--newline")
    assert read(replay.client()) == b"".join(map(samples.payload, HEAD + FLOWS))


def test_standard_input_is_served(tmp_path: Path) -> None:
    """`zcat home.bin.gz | nfa replay -` would not work."""
    path = tmp_path / "netifyd.sock"
    command = [sys.executable, "-c", COMMAND, "-", "--listen", f"unix://{path}", "--wait", "0"]
    done = subprocess.run(command, input=RECORDING, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0
    assert done.stdout.startswith(b"sent 23 records")


def test_a_late_client_gets_the_greeting_but_no_earlier_flows(start: Start, tmp_path: Path) -> None:
    """A daemon that relies on a replay of the past would fail on a router only."""
    path = tmp_path / "recording"
    late = samples.flow(when=samples.START + 50_000, local_port=50001)
    path.write_bytes(RECORDING + samples.frame(late))
    replay = start(path, *listen(tmp_path), "--speed", "20", "--linger", "600")
    early = replay.client()
    assert read(early, len(RECORDING)) == RECORDING
    middle = replay.client()
    assert read(middle, len(HEAD_BYTES)) == HEAD_BYTES
    for client in (early, middle):
        assert read(client, len(samples.frame(late))) == samples.frame(late)
    last = replay.client()
    assert read(last, len(HEAD_BYTES)) == HEAD_BYTES
    replay.process.send_signal(signal.SIGTERM)
    assert all(read(client) == b"" for client in (early, middle, last))
    code, output, _errors = replay.end()
    assert code == 0
    assert output.startswith("sent 24 records") and "to 3 clients" in output


@pytest.mark.parametrize("what", ["write", "half-close"])
def test_a_client_that_writes_or_half_closes_is_dropped(what: str, recording: Path, start: Start, tmp_path: Path) -> None:
    """A client that netifyd would refuse would pass here."""
    replay = start(recording, *listen(tmp_path), "--wait", "2", "--speed", "full")
    bad = replay.client()
    assert read(bad, len(HEAD_BYTES)) == HEAD_BYTES
    if what == "write":
        bad.send(b"?")
    else:
        bad.shutdown(socket.SHUT_WR)
    assert closed(bad)
    good = [replay.client(), replay.client()]
    assert [read(client) for client in good] == [RECORDING, RECORDING]
    code, _output, errors = replay.end()
    assert code == 0
    assert errors.startswith("nfa replay: client 1 dropped: it ")


def test_the_replay_waits_for_its_clients(recording: Path, start: Start, tmp_path: Path) -> None:
    """The first of two clients would see flows that the second one misses."""
    replay = start(recording, *listen(tmp_path), "--wait", "2", "--speed", "full")
    assert "waiting for 2 clients" in replay.said
    first = replay.client()
    assert read(first, len(HEAD_BYTES)) == HEAD_BYTES
    first.settimeout(0.2)
    with pytest.raises(TimeoutError):
        first.recv(1)
    first.settimeout(PATIENCE)
    second = replay.client()
    assert HEAD_BYTES + read(first) == read(second) == RECORDING


def test_loop_plays_again_without_a_second_greeting(recording: Path, start: Start, tmp_path: Path) -> None:
    """A long measurement would need a long recording."""
    replay = start(recording, *listen(tmp_path), "--speed", "full", "--loop", "3")
    assert read(replay.client()) == RECORDING + 2 * RECORDING[len(HEAD_BYTES) :]
    assert replay.end()[1].startswith("sent 63 records")


def test_records_come_at_the_time_they_were_recorded(start: Start, tmp_path: Path) -> None:
    """Timeouts and windows would be tried with bursts only."""
    path = tmp_path / "recording"
    made = [samples.flow(when=samples.START + 10_000 * step, local_port=40000 + step) for step in range(4)]
    path.write_bytes(b"".join(map(samples.frame, [*HEAD, *made])))
    replay = start(path, *listen(tmp_path), "--speed", "20")
    began = time.monotonic()
    client = replay.client()
    read(client, len(HEAD_BYTES))
    for number, record in enumerate(made):
        assert read(client, len(samples.frame(record))) == samples.frame(record)
        # 10 seconds at 20 times the speed are half a second. A busy machine may read one later, but none comes earlier.
        assert time.monotonic() - began >= 0.5 * number
    assert read(client) == b""


def test_a_client_that_does_not_read_is_dropped_and_stalls_nobody(start: Start, tmp_path: Path) -> None:
    """One stuck client would stop the stream of all others, or fill the memory."""
    path = tmp_path / "recording"
    flows = [samples.flow(host_server_name="x" * 500_000, local_port=number) for number in range(10)]
    path.write_bytes(b"".join(map(samples.frame, HEAD + flows)))
    replay = start(path, *listen(tmp_path), "--wait", "2", "--speed", "full", "--loop", "20")
    stuck, good = replay.client(), replay.client()
    expected = len(HEAD_BYTES) + 20 * sum(len(samples.frame(flow)) for flow in flows)
    assert len(read(good)) == expected > 80 << 20
    code, _output, errors = replay.end()
    assert code == 0
    assert "client 1 dropped: it reads too slowly" in errors
    assert len(read(stuck)) < expected


def test_a_slow_client_alone_gets_everything(start: Start, tmp_path: Path) -> None:
    """At full speed a measurement would end with a dropped client instead of a number."""
    path = tmp_path / "recording"
    flows = [samples.flow(host_server_name="x" * 500_000, local_port=number) for number in range(10)]
    path.write_bytes(b"".join(map(samples.frame, HEAD + flows)))
    replay = start(path, *listen(tmp_path), "--speed", "full", "--loop", "20")
    client = replay.client()
    size = len(HEAD_BYTES)
    assert read(client, size) == HEAD_BYTES
    with pytest.raises(subprocess.TimeoutExpired):  # it waits, with nothing else to do than to be read
        replay.process.wait(0.5)
    while chunk := client.recv(1 << 16):
        size += len(chunk)
    assert size == len(HEAD_BYTES) + 20 * sum(len(samples.frame(flow)) for flow in flows)
    assert replay.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: int, recording: Path, start: Start, tmp_path: Path) -> None:
    """A socket file would stay, and a script would see a failure."""
    replay = start(recording, *listen(tmp_path), "--loop", "0", "--linger", "600")
    client = replay.client()
    read(client, len(RECORDING))
    replay.process.send_signal(number)
    read(client)
    code, output, errors = replay.end()
    assert code == 0
    assert output.startswith("sent ")
    assert "Traceback" not in errors
    assert not (tmp_path / "netifyd.sock").exists()


def test_a_stale_socket_file_is_replaced(recording: Path, start: Start, tmp_path: Path) -> None:
    """After a killed replay the next one would not start."""
    killed = start(recording, *listen(tmp_path))
    killed.process.kill()
    killed.process.wait()
    assert (tmp_path / "netifyd.sock").is_socket()
    replay = start(recording, *listen(tmp_path), "--speed", "full")
    assert read(replay.client()) == RECORDING
    assert replay.end()[0] == 0
    assert not (tmp_path / "netifyd.sock").exists()


def test_a_live_socket_is_left_alone(recording: Path, start: Start, tmp_path: Path) -> None:
    """A replay started by mistake would take over the socket of a running netifyd."""
    first = start(recording, *listen(tmp_path), "--wait", "2")
    code, _output, errors = start(recording, *listen(tmp_path), listening=False).end()
    assert code == 1
    assert "another process" in errors and "netifyd.sock" in errors
    client = first.client()
    assert read(client, len(HEAD_BYTES)) == HEAD_BYTES


def test_a_file_in_the_way_is_left_alone(recording: Path, start: Start, tmp_path: Path) -> None:
    """A mistyped path would delete a file."""
    (tmp_path / "netifyd.sock").write_text("precious")
    code, _output, errors = start(recording, *listen(tmp_path), listening=False).end()
    assert code == 1
    assert "not a socket" in errors
    assert (tmp_path / "netifyd.sock").read_text() == "precious"


def test_damage_is_left_out_and_told(start: Start, tmp_path: Path) -> None:
    """A damaged recording would be served without a word, or not at all."""
    path = tmp_path / "recording"
    path.write_bytes(RECORDING + b'{"length": 9999999999}\n' + samples.frame(FLOWS[0]))
    replay = start(path, *listen(tmp_path), "--speed", "full")
    assert read(replay.client()) == RECORDING + samples.frame(FLOWS[0])
    code, output, errors = replay.end()
    assert code == 0
    assert "; skipped 1 damaged place" in output
    assert (replay.said + errors).count("is skipped") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "contains no records"), (b"\x00\x01 no recording\n", "contains no records")],
)
def test_a_useless_file_is_refused(content: bytes | None, message: str, start: Start, tmp_path: Path) -> None:
    """A client would wait for ever for records that never come."""
    path = tmp_path / "recording"
    if content is not None:
        path.write_bytes(content)
    code, _output, errors = start(path, *listen(tmp_path), listening=False).end()
    assert code == 1
    assert message in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "0"], ["--speed", "nan"], ["--speed", "fast"], ["--loop", "-1"], ["--wait", "1.5"],
        ["--linger", "-1"],
    ],
)  # fmt: skip
def test_wrong_usage_is_explained(arguments: list[str], recording: Path, start: Start) -> None:
    """A mistyped option would be taken for something else."""
    code, _output, errors = start(recording, *arguments, listening=False).end()
    assert code == 2
    assert "expected" in errors


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("netifyd.sock", "unix://PATH or tcp://ADDRESS:PORT"),
        ("unix://netifyd.sock", "absolute path"),
        ("unix:///" + "x" * 120, "107 bytes"),
        ("tcp://127.0.0.1", "port from 0 to 65535"),
        ("tcp://[::1]:99999", "port from 0 to 65535"),
        ("tcp://\x1b[2J", "\\x1b"),
    ],
)
def test_a_wrong_address_is_explained(address: str, message: str, recording: Path, start: Start) -> None:
    """The user would not know how an address is written."""
    code, _output, errors = start(recording, "--listen", address, listening=False).end()
    assert code == 2
    assert "--listen" in errors and message in errors


def test_standard_input_cannot_be_looped(start: Start) -> None:
    """The second pass would be silently empty."""
    code, _output, errors = start("-", "--loop", "2", listening=False).end()
    assert code == 2
    assert "standard input" in errors


def test_the_folder_of_the_socket_is_made_and_removed_again(recording: Path, start: Start, tmp_path: Path) -> None:
    """On a machine without netifyd, the first command of the documents ended with "No such file or directory"."""
    (tmp_path / "there").mkdir()
    address = f"unix://{tmp_path}/there/a/b/netifyd.sock"
    replay = start(recording, "--listen", address, "--speed", "full")
    assert read(replay.client()) == RECORDING
    assert replay.end()[0] == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())


def test_a_folder_that_somebody_else_uses_meanwhile_stays(recording: Path, start: Start, tmp_path: Path) -> None:
    """netifyd may start beside it, and put its own files there."""
    replay = start(recording, "--listen", f"unix://{tmp_path}/run/netifyd.sock", "--speed", "full")
    (tmp_path / "run" / "agent.pid").write_text("1")
    assert read(replay.client()) == RECORDING
    assert replay.end()[0] == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["agent.pid"]


@pytest.mark.parametrize("path", ["/sys/none/x/netifyd.sock", "/sys/netifyd.sock", "/dev/null/netifyd.sock"])
def test_where_no_folder_can_be_made_it_says_what_to_type(path: str, recording: Path, start: Start) -> None:
    """A user without root would not know that another address does, nor that `nfa run` needs the same one."""
    code, _output, errors = start(recording, "--listen", f"unix://{path}", listening=False).end()
    assert code == 1
    assert f"cannot listen on unix://{path}: " in errors
    other = "unix:///tmp/netifyd.sock"
    assert f"Use another address: nfa replay FILE --listen {other}, and nfa run -s {other}" in errors
