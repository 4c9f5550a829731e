"""The wire format of ubus, against bytes of libubox itself, every value there is, and bytes that are none of it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
import ubus_vectors as vectors
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.bus import blob

TEXT = st.text(st.characters())  # with NUL, and with halves of surrogate pairs
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(1 << 66), 1 << 66) | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)
TABLES = st.dictionaries(TEXT, VALUES)


def attributes_of(message: bytes) -> dict[int, bytes]:
    """The attributes of one whole message."""
    buffer = bytearray(message)
    taken = blob.take(buffer)
    assert taken is not None and not buffer
    return blob.attributes(taken[3])


def arriving(value: Any) -> Any:
    """What of a value arrives at the other side."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, list):
        return [arriving(item) for item in value]
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, item in value.items():
            found.setdefault(arriving(name) or "(empty)", arriving(item))
        return found
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        value = float(value) if abs(value) < 1 << 1000 else None
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def field(kind: int, value: bytes, name: bytes = b"x") -> bytes:
    """A field with any type and payload, as it should be otherwise."""
    head = struct.pack(">H", len(name)) + name + b"\0"
    payload = head + bytes(-len(head) % 4) + value
    return struct.pack(">I", (0x80 | kind) << 24 | 4 + len(payload)) + payload + bytes(-len(payload) % 4)


def test_arguments_of_the_ubus_command_are_read() -> None:
    """`ubus call nfa ...` would be answered with nonsense."""
    data = attributes_of(vectors.CALL_NOTHING)[blob.ATTR_DATA]
    found = blob.decode(data)
    assert found == vectors.EVERYTHING
    assert [type(value) for value in found.values()] == [type(value) for value in vectors.EVERYTHING.values()]
    assert blob.decode(attributes_of(vectors.CALL_BARE)[blob.ATTR_DATA]) == {}


def test_what_is_sent_is_what_libubox_sends() -> None:
    """The other programs of the router read it with libubox."""
    assert blob.encode(vectors.EVERYTHING) == attributes_of(vectors.CALL_NOTHING)[blob.ATTR_DATA]


def test_a_small_number_may_come_as_int64() -> None:
    """C programs choose the type by their variable, not by the value."""
    assert blob.decode(attributes_of(vectors.ANSWER_CREATED)[blob.ATTR_DATA]) == vectors.CREATED


@given(TABLES)
def test_whatever_is_sent_arrives(table: dict[str, Any]) -> None:
    """One odd host name in a status, and the whole status could not be read."""
    assert blob.decode(blob.encode(table)) == arriving(table)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (0x7FFFFFFF, 0x7FFFFFFF),
        (0x80000000, 0x80000000),
        (-0x80000001, -0x80000001),
        ((1 << 63) - 1, (1 << 63) - 1),
        (1 << 64, 1.8446744073709552e19),
        (10**400, None),
        (float("nan"), None),
        (float("-inf"), None),
        (1e-300, 1e-300),
        ("\0", "\\x00"),
        ("a\udcffb", "a\\udcffb"),
        ((1, "a"), [1, "a"]),
    ],
)
def test_values_the_wire_has_no_room_for(value: object, arrives: object) -> None:
    """A counter that is very large stays large, and text stays text."""
    assert blob.decode(blob.encode({"x": value})) == {"x": arrives}


def test_names_are_always_names() -> None:
    """Without one, the ubus command and LuCI get something that is not JSON."""
    table: dict[object, object] = {"": 1, 7: 2, None: 3, "ü" * 40000: 4}
    assert blob.decode(blob.encode(table)) == {"(empty)": 1, "7": 2, "None": 3, "ü" * 32767: 4}


def test_bytes_cannot_be_sent() -> None:
    """A programming error shows at once, with the type that is to blame."""
    with pytest.raises(TypeError, match="bytes"):
        blob.encode({"a": [b"x"]})


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Another exception would end the daemon."""
    for reader in (blob.decode, blob.attributes):
        try:
            reader(data)
        except ValueError:
            pass


@given(TABLES, st.data())
def test_damaged_bytes_are_read_or_refused(table: dict[str, Any], data: st.DataObject) -> None:
    """As above, with bytes that are nearly right."""
    raw = bytearray(blob.encode(table))
    for _ in range(data.draw(st.integers(0, 3))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        blob.decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except ValueError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        field(blob.STRING, b""),
        field(blob.STRING, b"abc"),
        field(blob.STRING, b"\xff\0"),
        field(blob.INT32, b"\0\0\0"),
        field(blob.INT8, b""),
        field(blob.DOUBLE, b"\0\0\0\0"),
        field(9, b"\0"),
        field(blob.TABLE, b"\0\0\0\0"),
        field(blob.TABLE, field(blob.NULL, b"")[:-1]),
        field(blob.NULL, b"")[:-1],
        field(blob.NULL, b"") + b"\0",
        field(blob.NULL, b"", b"\xff"),
        b"\x03\0\0\x0cabcdefg\0",
        b"\x80\0\0\x00\0\0\0\0",
        b"\x80\0\0\x08\0\x01ab",
        b"\x80\xff\xff\xff\0\0\0\0",
        b"\x80\0\x01\0\0\x40ab",
        b"\x03" + field(blob.STRING, b"a\0")[1:],
        b"\x80\0\0\x08\xff\xff\0\0",
    ],
)
def test_malformed_fields_are_refused(data: bytes) -> None:
    """Nothing is guessed: the caller is told that its arguments are wrong."""
    with pytest.raises(ValueError):
        blob.decode(data)


def test_the_first_of_two_fields_with_a_name_counts() -> None:
    """As for libubox: who checks a call before it is handed on must see what is acted on."""
    assert blob.decode(field(blob.INT8, b"\1") + field(blob.INT8, b"\0")) == {"x": True}


def test_a_number_that_is_none_is_null() -> None:
    """What was read can be written as JSON."""
    assert blob.decode(field(blob.DOUBLE, struct.pack(">d", float("nan")))) == {"x": None}


def test_a_string_ends_at_its_first_nul() -> None:
    assert blob.decode(field(blob.STRING, b"ab\0cd\0")) == {"x": "ab"}


def test_what_a_call_may_hold_is_bounded() -> None:
    """A single call could hold up the loop for seconds, or end the daemon by its depth."""
    nested: dict[str, Any] = {}
    for _ in range(blob.MAX_DEPTH):
        nested = {"x": nested}
    assert blob.decode(blob.encode(nested)) == nested
    with pytest.raises(ValueError, match="within each other"):
        blob.decode(blob.encode({"x": nested}))
    with pytest.raises(ValueError, match="more than 10000 fields"):
        blob.decode(b"\x80\0\0\x08\0\0\0\0" * (blob.MAX_BODY // 8))


@given(st.integers(1, len(vectors.TAKEN) + len(vectors.CALL_ACCESS)))
def test_messages_are_cut_off_wherever_they_are_torn(size: int) -> None:
    """A stream socket delivers any number of bytes."""
    stream = vectors.TAKEN + vectors.CALL_ACCESS
    buffer = bytearray()
    found = []
    for position in range(0, len(stream), size):
        buffer += stream[position : position + size]
        while (message := blob.take(buffer)) is not None:
            found.append(message)
    assert [blob.message(*message) for message in found] == [stream[:28], stream[28:48], stream[48:]]
    assert not buffer


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\1\0\0\0\0\0\0\0\0\0\0\4", "not a ubus message"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\3", "not a ubus message"),
        (b"\0\0\0\0\0\0\0\0\0\x10\0\1", "1048577 bytes"),
        (b"HTTP/1.1 400", "not a ubus message"),
    ],
)
def test_what_is_no_message_is_refused_by_its_start(start: bytes, words: str) -> None:
    """The daemon would wait, and fill its memory, for an end that never comes."""
    with pytest.raises(ValueError, match=words):
        blob.take(bytearray(start))


@pytest.mark.parametrize("data", [b"\1", b"\1\0\0\3", b"\1\0\0\x08abc"])
def test_malformed_attributes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        blob.attributes(data)


def test_numbers_and_strings_of_attributes() -> None:
    assert blob.read_number(blob.number(0xFFFFFFFE)) == 0xFFFFFFFE
    assert blob.read_string(blob.string("méthode")) == "méthode"
    for reader, payload in ((blob.read_number, b"\0"), (blob.read_string, b""), (blob.read_string, b"a")):
        with pytest.raises(ValueError):
            reader(payload)
