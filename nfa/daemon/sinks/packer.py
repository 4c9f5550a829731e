"""One record, packed once in each form that sinks want, however many of them there are.

In: a flow record, or what was remembered of it, what matched it and an event. Out: the event as bytes (or as a table). Sinks
that want the same form get the same object, so what waits in several of them is in memory once.
"""

import time

from ..base import json
from .formats import to_json, to_msgpack

MYPY = False
if MYPY:
    from typing import Any, Protocol

    class Packing(Protocol):
        """What `base.packing` has."""

        def pack(self, payload: bytes) -> bytes: ...
        def unpack(self, packed: bytes) -> bytes: ...
        def gzip(self, data: bytes) -> bytes: ...


SAME = 100
"""Milliseconds in which an event is the same for all sinks: they are asked one after the other."""


def flow_action(actions: tuple[str, ...], targets: tuple[str, ...], event: str, clock: int) -> "dict[str, object]":
    """Return what is added to a record: what matched, the event and its time (epoch milliseconds)."""
    return {"action": list(actions), "targets": list(targets), "event": event, "time": clock}


class Form:
    """How a channel takes events. `tables`: not as bytes; `stream`: each with a line of its own; `header`: after its length;
    `gzip`: each as a file of gzip."""

    def __init__(self, tables: bool, msgpack: bool, stream: bool, header: bool, gzip: bool) -> None:
        self.tables = tables
        self.msgpack = msgpack
        self.stream = stream
        self.header = stream and header
        self.gzip = gzip
        self.key = (tables, msgpack, stream, self.header, gzip)


class Packer:
    """What was made of the last record."""

    def __init__(self, packing: "Packing") -> None:
        self._packing = packing
        self._record: object = None
        self._body = b""
        """The record as JSON; `_packed`: the same made small, b"" when nobody asked for it."""
        self._packed = b""
        self._events: dict[object, Any] = {}
        self._clock = 0

    def body(self, record: "dict[str, Any]") -> bytes:
        """Return a record as JSON. Raises RecursionError when it is nested too deeply."""
        if record is not self._record:
            own = {name: record[name] for name in record if name != "flow_action"} if "flow_action" in record else record
            self._begin(to_json(own))
            self._record = record
        return self._body

    def pack(self, record: "dict[str, Any]") -> bytes:
        """Return a record made small, to be remembered. Raises RecursionError."""
        body = self.body(record)
        if not self._packed:
            self._packed = self._packing.pack(body)
        return self._packed

    def unpack(self, packed: bytes) -> bytes:
        """Return the record that `pack` made small, as JSON."""
        if packed is not self._packed:
            self._begin(self._packing.unpack(packed))
            self._packed = packed
        return self._body

    def _begin(self, body: bytes) -> None:
        self._record = None
        self._body = body
        self._packed = b""
        self._events.clear()

    def event(self, body: bytes, actions: tuple[str, ...], targets: tuple[str, ...], event: str, form: Form) -> "Any":
        """Return an event in a form. `body`: the record as JSON, of `body` or `unpack`. Raises RecursionError."""
        clock = int(time.time() * 1000)
        if body is not self._body:
            return self._make(body, flow_action(actions, targets, event, clock), form)
        if not 0 <= clock - self._clock < SAME:
            self._events.clear()
            self._clock = clock
        key = (actions, targets, event, form.key)
        made = self._events.get(key)
        if made is None:
            made = self._events[key] = self._make(body, flow_action(actions, targets, event, self._clock), form)
        return made

    def _make(self, body: bytes, action: "dict[str, object]", form: Form) -> "Any":
        if form.tables or form.msgpack:
            table = json.loads(body)
            table["flow_action"] = action
            if form.tables:
                return table
            data = to_msgpack(table)
        else:
            data = body[:-1] + b',"flow_action":' + to_json(action) + (b"}\n" if form.stream else b"}")
        if form.header:
            data = b'{"length": ' + str(len(data)).encode() + b"}\n" + data
        return self._packing.gzip(data) if form.gzip else data
