"""Bytes of a socket to whole records: netifyd's length headers, or one JSON object a line, recognised by itself.

In: chunks of bytes as they arrive. Out: the payload of each record without the newline at its end, and counts of what was no
record. A header is `{"length": N}` and a newline, then N bytes (netifyd 4.4; a 3.x greeting has no newline at its end). Go by
the length.

When a length is wrong, the record is what stands before the next header. That is safe: netifyd writes its JSON on one
line and escapes quotes in strings, so the bytes `{"length": N}` followed by a newline stand nowhere else, whatever
strings strangers choose. Memory is bounded by one record (1 MiB; 64 KiB under MicroPython) and one chunk.
"""

from ..base.portable import MAX_RECORD, compile_bytes

_HEADER = compile_bytes(rb'\{"length": ?([0-9]+)\}\r?\n')
_BLANK = compile_bytes(rb"\s+")
_MARK = b'{"length"'
_HEADER_ROOM = 64
"""No header is longer; what is kept at the end of a skipped stretch so that a header cut in two is still found."""


def _next_header(data: bytes, position: int):
    """Return the match of the first header from a place on, or None."""
    while True:
        position = data.find(_MARK, position)
        if position < 0:
            return None
        match = _HEADER.match(data, position, position + _HEADER_ROOM)
        if match is not None:
            return match
        position += 1


class Framer:
    """Cuts a stream into records. `bad` counts by kind: `length` (a header that is none), `oversize`, `resync_bytes`."""

    def __init__(self) -> None:
        self.buffer = b""
        self.lines: bool | None = None
        """True: one object a line; False: length headers; None: not known yet."""
        self.bad = {"length": 0, "oversize": 0, "resync_bytes": 0}
        self._lost = False
        """In search of the next header or line: everything before it is skipped."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the payloads that are now complete, in order."""
        data = self.buffer + chunk if self.buffer else chunk
        found: list[bytes] = []
        position = 0
        if self.lines is False and not self._lost:
            position = self._whole(data, found)
        while position < len(data):
            if self._lost:
                position = self._search(data, position)
                if self._lost:
                    break
            if self.lines is None:
                known = self._recognise(data, position)
                if not known:
                    break
            step = self._line(data, position, found) if self.lines else self._framed(data, position, found)
            if step == position and not self._lost:
                break
            position = step
        self.buffer = data[position:]
        return found

    def end(self) -> list[bytes]:
        """The stream has ended: return a last line that has no newline; count a record that was cut off."""
        rest, self.buffer = self.buffer.strip(), b""
        if not rest or self._lost:
            return []
        if self.lines:
            return [rest]
        self.bad["length"] += 1
        return []

    def _recognise(self, data: bytes, position: int) -> bool:
        """Decide what kind of stream this is, from its first bytes. Returns False while there are too few."""
        head = data[position : position + _HEADER_ROOM]
        if _HEADER.match(head, 0):
            self.lines = False
        elif b"\n" in head or len(head) == _HEADER_ROOM:
            # A header with nonsense for a number is still a header: the stream is framed, the search begins.
            self.lines = not head.startswith(_MARK)
        else:
            return False
        return True

    @staticmethod
    def _whole(data: bytes, found: list[bytes]) -> int:
        """Take records as netifyd writes them, on one line each, while there are whole ones. Returns where the rest begins.

        Lines by twos, a header and what it says: that is quicker than to look for each. What is no such two is for `_framed`.
        """
        if len(data) > MAX_RECORD:
            return 0
        lines = data.split(b"\n")
        rest = len(lines.pop())  # it has no end yet
        by_twos = iter(lines)
        append = found.append
        for header, payload in zip(by_twos, by_twos):  # noqa: B905 (MicroPython has no strict)
            # A record that swallowed the next header would not end so.
            if header != b'{"length": %d}' % (len(payload) + 1) or not payload.endswith(b'"}'):
                return sum([len(line) + 1 for line in lines[: 2 * len(found)]])
            append(payload)
        return len(data) - rest - (len(lines[-1]) + 1 if len(lines) & 1 else 0)

    def _framed(self, data: bytes, position: int, found: list[bytes]) -> int:
        match = _HEADER.match(data, position, position + _HEADER_ROOM)
        if match is None:
            if len(data) - position < _HEADER_ROOM and b"\n" not in data[position:]:
                return position
            # Blank bytes between records belong to nobody; anything else is a record or header gone wrong.
            if data[position : position + 1].isspace():
                return _BLANK.match(data, position).end()  # type: ignore[union-attr]
            self.bad["length"] += 1
            self._lost = True
            return position + (1 if data.startswith(_MARK, position) else 0)
        start = match.end()
        size = int(match.group(1)[:12])
        if size > MAX_RECORD or size == 0:
            self.bad["oversize" if size else "length"] += 1
            self._lost = True
            return start
        end = start + size
        inner = data.find(_MARK, start, end + len(_MARK) - 1)
        if inner >= 0 and _HEADER.match(data, inner):
            # Too long: the next header lies inside. What stands before it is the record.
            self.bad["length"] += 1
            found.append(data[start:inner].rstrip())
            return inner
        if end > len(data):
            return position
        follows = data[end : end + len(_MARK)]
        if not _MARK.startswith(follows) and not follows[:1].isspace() and not data.endswith(b"}\n", start, end):
            # Too short: the record goes on until the next header, which may still be on its way. (A record that ends as
            # netifyd ends one is whole, and what follows is garbage.)
            after = _next_header(data, end)
            if after is None and len(data) - start <= MAX_RECORD:
                return position
            self.bad["length"] += 1
            if after is None:
                self._lost = True
                return end
            stop: int = after.start()
            found.append(data[start:stop].rstrip())
            return stop
        found.append(data[start:end].rstrip())
        return end

    def _search(self, data: bytes, position: int) -> int:
        """Skip to the next header (or line); what is skipped is counted."""
        if self.lines:
            end = data.find(b"\n", position) + 1
            self._lost = end == 0
            stop = end or len(data)
        else:
            match = _next_header(data, position)
            self._lost = match is None
            stop = match.start() if match else max(position, len(data) - _HEADER_ROOM)
        self.bad["resync_bytes"] += stop - position
        return stop

    def _line(self, data: bytes, position: int, found: list[bytes]) -> int:
        if data.startswith(_MARK, position) and _HEADER.match(data, position):
            self.lines = False
            return self._framed(data, position, found)
        end = data.find(b"\n", position)
        if end < 0:
            if len(data) - position > MAX_RECORD:
                self.bad["oversize"] += 1
                self._lost = True
            return position
        line = data[position:end]
        if len(line) > MAX_RECORD:
            self.bad["oversize"] += 1
        elif line.strip():
            found.append(line.rstrip())
        return end + 1
