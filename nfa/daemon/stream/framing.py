"""Bytes of a socket to whole records: netifyd's length headers, or one JSON object a line, recognised by itself.

In: chunks of bytes as they arrive. Out: the payload of each record without the newline at its end, and counts of what was no
record. A header is `{"length": N}` and a newline, then N bytes (netifyd 4.4; a 3.x greeting has no newline at its end). Go by
the length.

When a length is wrong, the record is what stands before the next header. That is safe: netifyd writes its JSON on one
line and escapes quotes in strings, so the bytes `{"length": N}` followed by a newline stand nowhere else, whatever
strings strangers choose.

Where a stream is cut into chunks decides nothing: each decision is made from the bytes alone, as soon as they allow only one.
The work is linear in the bytes that arrive, whatever they are: a record that drips in is neither copied nor searched again.
Memory is bounded by one record (1 MiB; 64 KiB under MicroPython), what tells that it is over, one chunk, and MAX_HEADERS.
"""

from ..base.portable import MAX_RECORD, ROOM

_MARK = b'{"length"'
MAX_HEADERS = ROOM
"""Headers that are remembered by what they say: most records have 250 to 1,000 bytes."""
_HEADER_ROOM = 64
"""No header is longer; what is kept at the end of a skipped stretch so that a header cut in two is still found."""


def _header(data: bytes, position: int) -> "tuple[int, int] | None":
    """Return what the header at a place says (bytes; the first twelve digits), and where it ends; or None."""
    end = data.find(b"\n", position, position + _HEADER_ROOM)
    if end < 0 or data[position : position + len(_MARK)] != _MARK:
        return None
    digits = data[position + len(_MARK) : end]
    if digits[-1:] == b"\r":
        digits = digits[:-1]
    if digits[:1] != b":" or digits[-1:] != b"}":
        return None
    digits = digits[2 if digits[1:2] == b" " else 1 : -1]
    return (int(digits[:12]), end + 1) if digits.isdigit() else None


def _next_header(data: bytes, position: int, stop: int) -> "tuple[tuple[int, int] | None, int]":
    """Search the first header that begins from `position` on and before `stop`.

    Returns it and where it begins; or None and the first place where one may still begin once more bytes are there
    (`stop`: nowhere).
    """
    size = len(data)
    while True:
        position = data.find(_MARK, position, min(stop + len(_MARK) - 1, size))
        if position < 0:
            break
        match = _header(data, position)
        if match is not None:
            return match, position
        if size - position < _HEADER_ROOM and data.find(b"\n", position) < 0:
            return None, position
        position += 1
    # Of a mark that is not all there yet, the brace at its beginning stands among the last bytes.
    brace = data.rfind(b"{", max(0, size - len(_MARK) + 1))
    if 0 <= brace < stop and _MARK.startswith(data[brace:]):
        return None, brace
    return None, min(stop, size)


def _whole(data: bytes, found: list[bytes], headers: dict[int, bytes]) -> int:
    """Take records as netifyd writes them, on one line each, while there are whole ones. Returns where the rest begins.

    `headers`: those that were made before, by the size of the payload.

    Lines by twos, a header and what it says: that is quicker than to look for each. What is no such two is for `_framed`.
    """
    if len(data) > MAX_RECORD:
        return 0
    lines = data.split(b"\n")
    rest = len(lines.pop())  # it has no end yet
    by_twos = iter(lines)
    append, known = found.append, headers.get
    for header, payload in zip(by_twos, by_twos):
        size = len(payload)
        # A record that swallowed the next header would not end so.
        if (known(size) or _header_of(size, headers)) != header or not payload.endswith(b'"}'):
            return sum([len(line) + 1 for line in lines[: 2 * len(found)]])
        append(payload)
    return len(data) - rest - (len(lines[-1]) + 1 if len(lines) & 1 else 0)


def _header_of(size: int, headers: dict[int, bytes]) -> bytes:
    """Return the header of a payload of so many bytes, from now on from `headers`."""
    header = b'{"length": %d}' % (size + 1)
    if len(headers) < MAX_HEADERS:
        headers[size] = header
    return header


class Framer:
    """Cuts a stream into records. `bad` counts by kind: `length` (a header that is none), `oversize`, `resync_bytes`."""

    def __init__(self) -> None:
        self.lines: bool | None = None
        """True: one object a line; False: length headers; None: not known yet."""
        self.bad = {"length": 0, "oversize": 0, "resync_bytes": 0}
        self._headers: dict[int, bytes] = {}
        self._lost = False
        """In search of the next header or line: everything before it is skipped."""
        self._held = bytearray()
        """What waits for more bytes: the beginning of a record, or of a header."""
        self._need = 0
        """Bytes that `_held` must have before it is looked at again, unless another header (or a newline) comes before."""
        self._seen = 0
        """Before this place of `_held`, no header begins but that of the record itself."""

    @property
    def waiting(self) -> int:
        """Return how many bytes wait for those that follow."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the payloads that are now complete, in order."""
        held = self._held
        if len(held) + len(chunk) < self._need:
            held += chunk
            if not self._news(chunk):
                return []
            data = bytes(held)
        else:
            data = bytes(held) + chunk if held else chunk
        found: list[bytes] = []
        position = 0
        if self.lines is False and not self._lost:
            position = _whole(data, found, self._headers)
            if position:
                self._seen = 0
        self._need = 0
        while position < len(data):
            if self._lost:
                position = self._search(data, position)
                if self._lost:
                    break
            elif self.lines is None:
                if not self._recognise(data, position):
                    break
            else:
                step = self._line(data, position, found) if self.lines else self._framed(data, position, found)
                if step < 0:
                    break
                self._seen = 0
                position = step
        self._held = bytearray(data[position:])
        return found

    def end(self) -> list[bytes]:
        """The stream has ended: return the record that nothing follows; count one that was cut off."""
        rest = bytes(self._held)
        self._held, self._need, self._seen = bytearray(), 0, 0
        if self._lost or not rest.strip():
            return []
        if self.lines:
            return [rest.strip()]
        match = _header(rest, 0)
        size, start = match or (0, 0)
        end = start + size
        if end != len(rest):
            self.bad["length"] += 1
        if match is None or end > len(rest):
            return []
        # It went on until now, but for a header that was cut off.
        return [rest[start : end if _MARK.startswith(rest[end:]) else len(rest)].rstrip()]

    def _news(self, chunk: bytes) -> bool:
        """Return whether a chunk, the end of `_held`, decides what becomes of a record that is not complete."""
        if self.lines:
            return b"\n" in chunk
        window = bytes(self._held[self._seen :])
        match, place = _next_header(window, 0, len(window))
        self._seen += place
        return match is not None

    def _recognise(self, data: bytes, position: int) -> bool:
        """Decide what kind of stream this is, from its first bytes. Returns False while there are too few."""
        head = data[position : position + _HEADER_ROOM]
        if _header(data, position):
            self.lines = False
        elif b"\n" in head or len(head) == _HEADER_ROOM:
            # A header with nonsense for a number is still a header: the stream is framed, the search begins.
            self.lines = not head.startswith(_MARK)
        else:
            return False
        return True

    def _search(self, data: bytes, position: int) -> int:
        """Skip to the next header (or line); what is skipped is counted."""
        if self.lines:
            end = data.find(b"\n", position) + 1
            self._lost = end == 0
            stop = end or len(data)
        else:
            match, stop = _next_header(data, position, len(data))
            self._lost = match is None
        self.bad["resync_bytes"] += stop - position
        return stop

    # Both return where the next record begins, which may be where this one did, if it is to be looked at in another way; or -1:
    # it depends on bytes that are still to come.

    def _line(self, data: bytes, position: int, found: list[bytes]) -> int:
        """Take lines: all that stand before what may be a header, or one."""
        bound = position + MAX_RECORD + 1
        mark = data.find(_MARK, position, bound)
        stop = data.rfind(b"\n", position, mark if mark >= 0 else bound) + 1
        if stop:
            lines = [line.rstrip() for line in data[position:stop].split(b"\n")]
            found.extend([line for line in lines if line])
            return stop
        if mark == position and _header(data, position):
            self.lines = False
            return position
        end = data.find(b"\n", position, bound)
        if end >= 0:
            found.append(data[position:end].rstrip())
            return end + 1
        if len(data) < bound:
            self._need = MAX_RECORD + 1
            return -1
        self.bad["oversize"] += 1
        self._lost = True
        return position

    def _framed(self, data: bytes, position: int, found: list[bytes]) -> int:
        """Take one record."""
        match = _header(data, position)
        if match is None:
            # Blank bytes between records belong to nobody; anything else is a record or header gone wrong.
            if data[position : position + 1].isspace():
                while data[position : position + 1].isspace():
                    position += 1
                return position
            if len(data) - position < _HEADER_ROOM and data.find(b"\n", position) < 0:
                return -1
            return self._lose("length", position)
        size, start = match
        if size > MAX_RECORD or size == 0:
            return self._lose("oversize" if size else "length", start)
        end = start + size
        if end <= len(data) and data[end - 2 : end] == b"}\n" and data.find(_MARK, start, end) < 0:
            found.append(data[start : end - 1])  # as nearly all are
            return end
        other, seen = _next_header(data, max(start, position + self._seen), end)
        if other is None and seen < end:
            return self._wait(seen - position, end - position)
        if other is None and not _is_whole(data, start, end):
            follows = data[end : end + len(_MARK)]
            if len(follows) < len(_MARK) and _MARK.startswith(follows):
                return self._wait(end - position, 0)
            if follows != _MARK and not follows[:1].isspace():
                # Too short: the record goes on until the next header, which may still be on its way.
                bound = start + MAX_RECORD
                other, seen = _next_header(data, max(end, position + self._seen), bound)
                if other is None and seen < bound:
                    return self._wait(seen - position, bound - position)
                if other is None:
                    self.bad["resync_bytes"] += seen - end
                    return self._lose("length", seen)
        if other is None:
            found.append(data[start:end].rstrip())
            return end
        # Too short, or too long: the record is what stands before the next header.
        self.bad["length"] += 1
        found.append(data[start:seen].rstrip())
        return seen

    def _wait(self, seen: int, need: int) -> int:
        """Look at a record again when it has more bytes. In: places, counted from where it begins."""
        self._seen, self._need = seen, need
        return -1

    def _lose(self, kind: str, position: int) -> int:
        """What stands here is no record: search the next one."""
        self.bad[kind] += 1
        self._lost = True
        return position


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Return whether a record ends where its header says, whatever follows: as netifyd ends one, or with its last brace.

    Braces in strings may hide that: then what follows decides.
    """
    ending = data[max(start, end - 3) : end]
    if ending.endswith(b"\n"):
        return ending.rstrip().endswith(b"}")
    return ending.endswith(b"}") and data.count(b"{", start, end) == data.count(b"}", start, end)
