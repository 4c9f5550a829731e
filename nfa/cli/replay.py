"""`nfa replay`: serve a recorded flow stream on a socket, as netifyd 4.4 serves a live one.

In: a recording (see nfa.cli.recording) and an address. Out: every client gets the greeting of the recording
(agent_hello, agent_status, definitions) when it connects and, from when enough clients are there, all records
that follow, byte for byte.

Strategy: one thread, one selector (nfa.cli.serving). A batch of due records is joined once and queued to every client. At full
speed the fastest client sets the pace; a slow client is dropped (netifyd itself queues without bound). Only reading the
recording may block.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import chain, count, islice
from typing import cast

from nfa.cli.common import plural
from nfa.cli.recording import MAX_GAP, framed, frames, greeting, line, schedule
from nfa.cli.serving import Address, Fault, Server, listening, say, size_text
from nfa.compiler.base.report import printable
from nfa.daemon.stream.source import DEFAULT_SOURCE, parse_source

BATCH = 1 << 18  # bytes handed to a client in one send

DESCRIPTION = """\
Serve a recorded flow stream on a socket, as netifyd 4.4 would: to try a policy, to test, to measure.

FILE is what a client of netifyd's socket received (with length headers) or one JSON object a line, plain or
gzipped; '-' reads standard input. The replay starts when the first client connects. Each client is greeted
with agent_hello, agent_status and definitions; one that joins late gets no earlier flows; one that writes, or
half-closes, is dropped. netifyd does the same.

The folder of a unix socket is made if there is none, and removed at the end. netifyd's own folder needs root.
Without root, give another address with --listen, and the same one to nfa run with -s."""

EPILOG = """\
examples:
  try it without netifyd and without root, with the recording that ships, in two terminals:
    nfa replay demo/recording.bin.gz --listen unix:///tmp/netifyd.sock --speed 10
    nfa run -c demo/policy.json -s unix:///tmp/netifyd.sock --state-dir /tmp --control /tmp/nfa.sock -v
  record five minutes on a router, and replay them at home ten times faster:
    timeout 300 ssh router socat -u UNIX-CONNECT:/var/run/netifyd/netifyd.sock - > home.bin
    nfa replay home.bin --listen unix:///tmp/netifyd.sock --speed 10
  how fast is a client? a hundred times the same recording, as fast as it reads:
    nfa replay home.bin --listen tcp://127.0.0.1:7150 --speed full --loop 100
  start when two clients are there, and stay connected ten minutes after the last record:
    nfa replay home.bin --wait 2 --linger 600
  one object a line without length headers, as a sink of netifyd 5 with its header off:
    nfa replay home.jsonl.gz --newline

exit codes: 0 done (also when ended by a signal), 1 cannot read or listen, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments and help of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("file", metavar="FILE", help="the recording; '-' for standard input")
    add(
        "--listen",
        type=_address,
        default=DEFAULT_SOURCE,
        metavar="ADDRESS",
        help="unix://PATH or tcp://HOST:PORT (default: %(default)s)",
    )
    add(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="N times the original speed, or 'full' for as fast as the clients read (default: 1); silences of"
        f" the recording are shortened to {MAX_GAP:.0f} s",
    )
    add("--loop", type=_number(int), default=1, metavar="N", help="play N times, 0: endlessly (default: 1)")
    add("--wait", type=_number(int), default=1, metavar="N", help="start when N clients are connected (default: 1)")
    add(
        "--linger",
        type=_number(float),
        default=0.0,
        metavar="SECONDS",
        help="keep clients connected, and accept new ones, this long after the last record (default: 0)",
    )
    add("--newline", action="store_true", help="serve one object a line, without length headers")


def run(args: argparse.Namespace) -> int:
    """Serve the recording until its end or a signal; returns the exit code."""
    if args.file == "-" and args.loop != 1:
        say("error: --loop needs a file that can be read again, standard input cannot")
        return 2
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt, as SIGINT
    try:
        recording = _Recording(args.file, args.loop, line if args.newline else framed)
        with (
            listening(args.listen) as (listener, name),
            closing(Server(listener, recording.greeting)) as server,
        ):
            player = _Player(server, recording, args.speed)
            with suppress(KeyboardInterrupt):
                say(f"listening on {name}, waiting for {plural(args.wait, 'client')}")
                while len(server.clients) < args.wait:
                    server.turn(None)
                player.play()
                server.finish(args.linger)
            print(player.summary(), flush=True)
    except Fault as fault:
        say(f"error: {fault}")
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


class _Recording:
    """A recording: what greets a client, and the passes over it."""

    def __init__(self, path: str, loops: int, wrap: Callable[[bytes], bytes]) -> None:
        """Reads the greeting; `wrap` makes of a payload what is sent. Raises Fault, also when read later."""
        self.path, self.wrap, self.skipped = path, wrap, 0  # skipped: damaged places, left out
        head, payloads = greeting(self._read())
        if payloads is None:
            raise Fault(f"{path} contains no records. Expected length headers or one JSON object a line")
        self.greeted, self.greeting = len(head), b"".join(map(wrap, head))
        more = range(loops - 1) if loops else count()
        self.passes = chain([payloads], (self._read() for _ in more))  # each gives the greeting first

    def _read(self) -> Iterator[bytes]:
        try:
            yield from frames(self.path, self._skip)
        except OSError as error:
            raise Fault(f"cannot read {self.path}: {error.strerror or error}") from error

    def _skip(self, message: str) -> None:
        self.skipped += 1
        if self.skipped == 1:
            say(f"{self.path}: {message}; this and everything else that is damaged is skipped")


class _Player:
    """Hands the records to the server when they are due, and counts them."""

    def __init__(self, server: Server, recording: _Recording, speed: float) -> None:
        self.server, self.recording, self.speed = server, recording, speed
        self.records = self.bytes = 0
        self.started = self.shown = time.monotonic()
        self.ended = 0.0
        self._batch: list[bytes] = []
        self._size = 0

    def play(self) -> None:
        """Play all passes of the recording."""
        self.started = time.monotonic()
        self.records, self.bytes = self.recording.greeted, len(self.recording.greeting)
        for payloads in self.recording.passes:
            started, elapsed = time.monotonic(), 0.0
            for due, payload in islice(schedule(payloads, self.speed), self.recording.greeted, None):
                while due > elapsed:  # the clock is only asked when it may matter
                    elapsed = time.monotonic() - started
                    if due > elapsed:
                        self._flush()
                        self.server.turn(due - elapsed)
                data = self.recording.wrap(payload)
                self._batch.append(data)
                self._size += len(data)
                if self._size >= BATCH:
                    self._flush()
            self._flush()
        self.ended = time.monotonic()

    def summary(self) -> str:
        """What was sent, in one line."""
        seconds = (self.ended or time.monotonic()) - self.started
        sent = f"{plural(self.records, 'record')} ({size_text(self.bytes)})"
        text = f"sent {sent} to {plural(self.server.served, 'client')} in {seconds:.1f} s"
        skipped = self.recording.skipped
        return f"{text}; skipped {plural(skipped, 'damaged place')}" if skipped else text

    def _flush(self) -> None:
        """Queue the batch; at full speed only when the fastest client has taken most of what is queued."""
        while math.isinf(self.speed) and min((c.queued for c in self.server.clients), default=0) >= BATCH:
            self.server.turn(None)
        data = b"".join(self._batch)
        self.records += len(self._batch)  # before sending: what a client has seen is in the summary
        self.bytes += self._size
        self._batch, self._size = [], 0
        self.server.broadcast(data)
        self.server.turn(0)
        if time.monotonic() > self.shown + 0.5 and sys.stderr.isatty():
            self.shown = time.monotonic()
            print(f"\x1b[K{self.summary()}", end="\r", file=sys.stderr, flush=True)


def _address(text: str) -> Address:
    try:
        return cast(Address, parse_source(text, lowest_port=0)[1])
    except ValueError as error:
        raise argparse.ArgumentTypeError(printable(str(error))) from None


def _speed(text: str) -> float:
    speed = math.inf if text == "full" else _number(float)(text)
    if not speed:
        raise argparse.ArgumentTypeError("expected a number above 0, or 'full'")
    return speed


def _number(kind: type[int] | type[float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        with suppress(ValueError):
            if 0 <= (number := kind(text)) < math.inf:
                return number
        raise argparse.ArgumentTypeError(f"{text!r}: expected a {'whole ' * (kind is int)}number, 0 or more")

    return convert
