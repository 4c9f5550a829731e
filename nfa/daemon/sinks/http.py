"""Sink `http`: events are POSTed, some at a time; what the server does not take now is sent again, later each time.

A client of HTTP/1.1 (RFC 9112) of our own, because those of Python wait for the server. One request at a time over a
connection that stays open. Of answers the status counts, and `Retry-After`, as soon as their head is there: trouble with
the rest costs the connection, never a second delivery. What a server says besides is bounded and skipped.
"""

from .channel import MAX_QUEUED, earliest
from .link import CLOSED, Link, Served
from .waiting import Waiting

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters, Hub

MAX_BODY = 1 << 18
"""Bytes of events after which a request is full, before they are compressed."""
MAX_HEAD = 1 << 14
"""Bytes of an answer's head."""
MAX_ANSWER = 1 << 16
"""Bytes of an answer that are skipped for the sake of its connection; a longer one costs it."""
MAX_RETRY_AFTER = 3600
_TRY_AGAIN = (408, 425, 429)
"""Statuses between 400 and 499 that say: later."""
_NO_BODY = (204, 304)


class Sink(Served):
    """A URL that events are posted to."""

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        super().__init__(data, hub)
        options = self.options
        self._link = Link(self, options)
        self._waiting = Waiting(MAX_QUEUED)
        self._msgpack = data["format"] == "msgpack"
        self._gzip = data["compressor"] == "gz"
        self._send_at = 0.0
        """When what waits is sent although it is less than a batch; `_hurry`: at once."""
        self._hurry = False
        self._body = b""
        """The request that is under way or to be sent again; `_counts`: counters to events in it."""
        self._counts: dict[Counters, int] = {}
        self._asked = False
        """An answer is to come, until `_until`; `_judged`: its head was there, what is left is to be skipped."""
        self._judged = False
        self._until = 0.0
        self._answer = Answer()
        kind = "application/msgpack" if self._msgpack else "application/json"
        lines = ["POST " + options["path"] + " HTTP/1.1", "Host: " + options["authority"]]
        given = {name.lower() for name, _ in options["headers"]}
        lines += [name + ": " + value for name, value in options["headers"]]
        lines += ["Content-Type: " + kind] if "content-type" not in given else []
        lines += ["User-Agent: nfa"] if "user-agent" not in given else []
        lines += ["Content-Encoding: gzip"] if self._gzip else []
        self._head = "\r\n".join(lines).encode() + b"\r\nContent-Length: "

    def waiting(self) -> int:
        return len(self._waiting) + sum([int(count) for count in self._counts.values()])

    def readers(self) -> int:
        return int(self._link.state == "connected")

    def put(self, event: bytes, counters: "Counters") -> None:
        self._waiting.add(event, counters)

    def held(self) -> int:
        return self._waiting.held() + len(self._body) + self._link.waiting

    def drop(self, size: int) -> int:
        return self._waiting.drop(size)

    def hasten(self) -> None:
        self._hurry = True

    def close(self, last: bool) -> None:
        self._link.close()
        while self._waiting:
            self._waiting.take()[1].skipped += 1
        self._count(False)

    # -- the loop -------------------------------------------------------------------------------------------------------

    def flush(self, moment: float) -> None:
        if self._waiting and (self._hurry or not self._send_at):
            self._send_at = moment if self._hurry else moment + self.options["interval"]
        self._go_on(moment)

    def timeout(self, moment: float) -> None:
        link = self._link
        if link.deadline and moment >= link.deadline:
            link.timeout(moment)
        elif self._asked and moment >= self._until:
            link.lose("no answer to a request", moment)
        self._go_on(moment)

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        self._link.ready(event, moment)
        self._go_on(moment)

    def _go_on(self, moment: float) -> None:
        """Begin what can be begun now, and say when to look again."""
        link = self._link
        due = 0.0 < self._send_at <= moment or len(self._waiting) >= self.options["batch"]
        if not self._body and self._waiting and due:
            self._compose()
            self._send_at = 0.0
        if self._body and not self._asked:
            if link.state == "connected":
                self._asked = True
                self._judged = False
                self._until = moment + self.options["timeout_transfer"]
                self._answer = Answer()
                link.send(self._head + str(len(self._body)).encode() + b"\r\n\r\n" + self._body, moment)
            elif link.state == "waiting" and not link.deadline:
                link.start(moment)
        pending = self._send_at if self._waiting and not self._body else 0.0
        self.deadline = earliest(link.deadline, self._until if self._asked else 0.0, pending)

    def _compose(self) -> None:
        """Make the body of a request of the oldest events: a list, or, with batches of one, the event itself."""
        events: list[bytes] = []
        size = 0
        while self._waiting and len(events) < self.options["batch"]:
            if events and size + self._waiting.next_size() > MAX_BODY:
                break
            event, counters = self._waiting.take()
            events.append(event)
            size += len(event)
            self._counts[counters] = self._counts.get(counters, 0) + 1
        if self.options["batch"] == 1:
            body = events[0]
        elif self._msgpack:
            body = _msgpack_list(len(events)) + b"".join(events)
        else:
            body = b"[" + b",\n".join(events) + b"]"
        self._body = self.hub.packing.gzip(body) if self._gzip else body

    def _count(self, sent: bool) -> None:
        """The request is over: its events were taken, or are lost."""
        for counters, count in self._counts.items():
            if sent:
                counters.added += count
            else:
                counters.skipped += count
        self._body = b""
        self._counts = {}

    # -- what the link says ---------------------------------------------------------------------------------------------

    def connected(self, moment: float) -> None:
        """The request is sent by `_go_on`."""

    def lost(self, why: str) -> None:
        if self._asked and self._judged:
            self._hang_up()
            return
        self._asked = False
        self.failed(self._link.host + ": " + why, "trying again; the oldest events are dropped when too many wait")

    def ended(self, moment: float) -> None:
        if self._asked:
            self._link.lose(CLOSED, moment)
        else:
            self._hang_up()  # it was idle for long; the next request opens another

    def received(self, data: bytes, moment: float) -> None:
        if not self._asked:
            self._hang_up()  # more than the last answer said, or one to nothing
            return
        answer = self._answer
        complete, problem = False, ""
        try:
            complete = answer.feed(data)
        except ValueError as failure:
            problem = str(failure)
        if answer.status and not self._judged:
            self._judge(moment)
        if not self._asked:
            return
        if problem:
            self._link.lose("the server does not speak HTTP/1.1: " + problem, moment)
        elif complete and answer.stays:
            self._asked = False
        elif complete or (self._judged and (answer.endless or answer.size > MAX_ANSWER)):
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection, which is no failure; the next request opens another."""
        self._asked = False
        self._link.close()

    def _judge(self, moment: float) -> None:
        """The head of an answer is there: the events were taken, or are sent again, or are lost."""
        self._judged = True
        status = self._answer.status
        if 200 <= status < 300:
            self._count(True)
            self._link.good()
            self.works()
            return
        self._asked = False
        why = self._link.host + ": HTTP status " + str(status)
        if status >= 500 or status in _TRY_AGAIN:
            self.failed(why, "trying again")
        else:
            # It would be refused again: the next events may fare better, after a while.
            self._count(False)
            self.failed(why, "the server refuses the events, which are lost; check url and headers")
        self._link.rest(moment, self._answer.retry_after)


def _msgpack_list(count: int) -> bytes:
    """Return the head of a list of MessagePack. `count` is below 65,536: the option `batch` is."""
    return bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")


class Answer:
    """An answer to a request: bytes in; the status, and when it is complete, out."""

    def __init__(self) -> None:
        self.status = 0
        self.retry_after = 0.0
        self.stays = True
        """The connection can be used again."""
        self.size = 0
        """Bytes that came."""
        self._data = bytearray()
        self._left = -1
        """Bytes of the body that are to come; -1: as many as come until the connection ends."""
        self._chunked = False
        self._in_chunk = 0

    def feed(self, data: bytes) -> bool:
        """Take bytes. Returns whether the answer is complete. Raises ValueError when it is none."""
        self._data += data
        self.size += len(data)
        while not self.status:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                if len(self._data) > MAX_HEAD:
                    raise ValueError("a head of over " + str(MAX_HEAD) + " bytes")
                return False
            lines = bytes(self._data[:end]).decode("latin-1").split("\r\n")
            del self._data[: end + 4]
            self._begin(lines)
        if self._chunked:
            return self._chunks()
        if self._left < 0:
            self._data.clear()
            return False
        taken = min(self._left, len(self._data))
        self._left -= taken
        del self._data[:taken]
        if not self._left and self._data:
            raise ValueError("more data than announced")
        return not self._left

    @property
    def endless(self) -> bool:
        """It goes on until the server closes the connection."""
        return self.status > 0 and not self._chunked and self._left < 0

    def _begin(self, lines: list[str]) -> None:
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or len(words[1]) != 3 or not words[1].isdigit():
            raise ValueError("its answer has no status line")
        status = int(words[1])
        if status < 200:
            return  # an interim one; the answer is still to come
        self.status = status
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        connection = headers.get("connection", "").lower()
        self.stays = words[0] != "HTTP/1.0" and "close" not in connection
        later = headers.get("retry-after", "")
        if later.isascii() and later.isdigit() and len(later) < 10:
            self.retry_after = float(min(int(later), MAX_RETRY_AFTER))
        length = headers.get("content-length", "")
        if status in _NO_BODY:
            self._left = 0
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunked = True
        elif length:
            if not (length.isascii() and length.isdigit() and len(length) < 16):
                raise ValueError("Content-Length is no number")
            self._left = int(length)

    def _chunks(self) -> bool:
        """Skip chunks. Returns whether the last one is there."""
        while True:
            if self._in_chunk:
                taken = min(self._in_chunk, len(self._data))
                self._in_chunk -= taken
                del self._data[:taken]
                if self._in_chunk:
                    return False
            end = self._data.find(b"\r\n")
            if end < 0 or (end == 0 and len(self._data) == 2):
                if len(self._data) > MAX_HEAD:
                    raise ValueError("a chunk without its size")
                return False
            line = bytes(self._data[:end])
            del self._data[: end + 2]
            if not line:
                continue  # the end of the chunk before
            size = int(line.partition(b";")[0], 16)
            if not 0 <= size < 1 << 32:
                raise ValueError("a chunk of " + str(size) + " bytes")
            if size == 0:
                # Trailers may follow; none was asked for, so the connection is not used again if they do.
                self.stays = self.stays and bytes(self._data) == b"\r\n"
                return True
            self._in_chunk = size
