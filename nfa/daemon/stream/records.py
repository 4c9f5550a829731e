"""Payloads to records: one view of what netifyd 3.x, 4.x and 5.x write, and nothing of what is broken.

In: the payload bytes of one record. Out: `(kind, value)`:
  ("flow", record)     a flow record that is safe to read: the fields below are there and have their types
  ("stats", digest)    a flow lives: `flow_stats`
  ("purge", digest)    a flow has ended: `flow_purge`
  ("agent", record)    agent_hello, agent_status
  ("names", record)    definitions (3.x: protocols)
  ("other", None)      a type that this project has no use for
or a `BadRecord` whose `kind` is counted: `json`, `types`, `fields`. Records of 3.x are rewritten in place to the form of
4.x; 5.x adds fields to it and changes none.
"""

import binascii
import os

from ..base.portable import SECRET_HASH, ascii_only, parse_json

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Decode = Callable[[bytes], object]

BAD_KINDS = ("json", "types", "fields")
FLOW_TYPES = ("flow", "flow_dpi_update", "flow_dpi_complete")
_COUNTED = {b'"type":"flow_stats"}': "stats", b'"type":"flow_purge"}': "purge"}
"""How records end that hold counters, and nothing that decides."""
_DIGEST = b'"digest":"'
FIELDS = 7
"""Fields of stats and purges that netifyd 4.4 writes before `other_packets`: [4] is `local_bytes`, [6] `other_bytes`."""
_NONE: list[bytes] = []
_is_plain = getattr(bytes, "isalnum", None) or bool
"""Only letters and digits of ASCII? MicroPython lacks that, and reads the digest in another way."""
_TOTAL = b'"total_bytes"'
_MAX_DIGITS = 18
_MAX_DIGEST = 64
_MAX_ADDRESS = 45
_MAX_NAME = 255
_KEY_DIGITS = 14
_KEY_BITS = (1 << 60) - 1
"""Of the 64 bits of a hash: so many take the least memory."""


MAX_RENAMED = 8
"""Earlier digests of a flow that are looked at."""
SHALLOW = 1500
"""A record of fewer bytes, or of fewer than MANY braces and brackets, is not nested so deep that decoders differ over it."""
MANY = 200
TOGETHER = 1 << 16 if SECRET_HASH else 0
"""Bytes of payloads that are decoded together, at the most. MicroPython's reader gains nothing by it."""
_BETWEEN = int.from_bytes(os.urandom(4), "big")
"""Stands between two of them. Nobody knows it: a value that begins in one payload and ends in another is detected."""


class BadRecord(Exception):
    """A payload that is no record, or a record that cannot be trusted. `kind` is one of `BAD_KINDS`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _short_key(digest: str) -> int:
    """Return what a live flow is remembered by: the first 56 bits of its digest. Raises ValueError when it is not hex."""
    key = binascii.unhexlify(digest[:_KEY_DIGITS])
    if not key:
        raise ValueError("an empty digest")
    return int.from_bytes(key, "big")


def _seeded_key(digest: str) -> int:
    """Return what a live flow is remembered by. Raises ValueError when it is empty.

    The hash has a secret of this process in it: nobody can make flows whose keys are the same.
    """
    if not digest:
        raise ValueError("an empty digest")
    return hash(digest) & _KEY_BITS


digest_key = _seeded_key if SECRET_HASH else _short_key


def earlier_keys(flow: "dict[str, Any]") -> list[int]:
    """Return what a flow was remembered by under earlier digests: netifyd 5 changes them when it reclassifies a flow."""
    digests = flow.get("digest_prev")
    earlier = digests[:MAX_RENAMED] if isinstance(digests, list) else ()
    return [digest_key(digest) for digest in earlier if isinstance(digest, str) and digest]


def parse(payload: bytes, fast: "Decode | None" = None) -> object:
    """Decode one JSON value. Raises BadRecord("json") for anything that is none, however it is broken.

    `fast`: a decoder that is asked first (ValueError: it refuses). It decides nothing: what it refuses (NaN, bytes that are
    not UTF-8, halves of characters) is for the standard one, and so is what is nested deep.
    """
    if fast is not None and (len(payload) < SHALLOW or payload.count(b"{") + payload.count(b"[") < MANY):
        try:
            return fast(payload)
        except ValueError:
            pass
    try:
        return parse_json(payload)
    except (ValueError, RuntimeError):  # or nested too deep
        raise BadRecord("json", "not JSON") from None


def _counters(payload: bytes) -> "tuple[int, list[bytes]] | None":
    """Return the digest key of a stats or purge record without decoding it, and its fields as far as `FIELDS`, "name":value
    each; no fields when it is not written as netifyd 4.4 does; None when it is not written compactly.

    These records hold numbers, the digest and the interface's name; `"digest":"` cannot stand inside a JSON string.
    """
    fields = payload.split(b",", FIELDS) if SECRET_HASH else _NONE
    if len(fields) > FIELDS and fields[2].startswith(_DIGEST) and fields[2].endswith(b'"'):
        digest = fields[2][len(_DIGEST) : -1]
        if _is_plain(digest):
            return hash(digest) & _KEY_BITS, fields  # ASCII has the same hash as text
    start = payload.find(_DIGEST)
    if start < 0:
        return None
    start += len(_DIGEST)
    end = payload.find(b'"', start, start + _MAX_DIGEST + 1)
    digest = payload[start:end]
    if end < 0 or b"\\" in digest:
        return None
    try:
        return digest_key(str(digest, "utf-8")), _NONE
    except ValueError:
        return None


def previous_keys(record: object, present: int) -> list[int]:
    """Return the keys of the digests that a flow had before that of this record, by its `digest_prev`. Raises BadRecord."""
    flow = record.get("flow") if isinstance(record, dict) else None
    before = flow.get("digest_prev") if isinstance(flow, dict) else None
    if not isinstance(before, list) or [1 for digest in before[:MAX_RENAMED] if not isinstance(digest, str)]:
        raise BadRecord("types", "digest_prev must be a list of digests")
    return [key for key in earlier_keys(record["flow"]) if key != present]  # type: ignore[index]  # it is one, with a flow


def total_bytes(payload: bytes) -> int | None:
    """Return how many bytes a flow has had in all, by its stats or purge record, without decoding it; None: it does not say."""
    start = payload.find(_TOTAL)
    if start < 0:
        return None
    start += len(_TOTAL)
    digits = payload[start : start + _MAX_DIGITS + 4].lstrip(b" :")
    end = 0
    while end < len(digits) and 48 <= digits[end] <= 57:
        end += 1
    return int(digits[:end]) if 0 < end <= _MAX_DIGITS else None


def read(payload: bytes, fast: "Decode | None" = None) -> "tuple[str, Any]":
    """Decode, check and classify one payload. `fast`: as for `parse`. Raises BadRecord."""
    kind = _COUNTED.get(payload[-20:])
    if kind is not None:
        counted = _counters(payload)
        if counted is not None:
            return kind, counted[0]
    return classify(parse(payload, fast))


def read_some(payloads: list[bytes], fast: "Decode | None" = None) -> "list[tuple[str, Any, Any]]":
    """Do the same with several payloads. One that `read` raises BadRecord for gives ("bad", kind of BadRecord).

    A third value are the fields of stats and purges (see `_counters`), and the digest key of a flow.
    """
    kinds = [_COUNTED.get(payload[-20:]) for payload in payloads]
    decoded = _together([payload for payload, kind in zip(payloads, kinds) if kind is None], fast)
    found: list[tuple[str, Any, Any]] = []
    append = found.append
    for payload, kind in zip(payloads, kinds):
        try:
            if kind is not None:
                counted = _counters(payload)
                if counted is not None:
                    append((kind, counted[0], counted[1]))
                    continue
                record = parse(payload, fast)
            else:
                record = parse(payload, fast) if decoded is None else decoded.pop()
                if type(record) is dict and record.get("type") == "flow":  # as most are
                    append(("flow", record, check_flow(record)))
                    continue
            kind, value = classify(record)
            append((kind, value, digest_key(value["flow"]["digest"]) if kind == "flow" else _NONE))
        except BadRecord as bad:
            append(("bad", bad.kind, _NONE))
    return found


def _together(payloads: list[bytes], fast: "Decode | None") -> list[object] | None:
    """Decode several payloads, the last one first; None: they have to be decoded one by one.

    Together they take little more than half of the time. The scanner collects the keys of what it decodes in a table, which
    grows again in each call, to the fifty keys of a flow record.
    """
    if fast is not None or len(payloads) < 2 or sum(map(len, payloads)) > TOGETHER:
        return None
    try:
        values = parse_json(b"[" + (b",%d," % _BETWEEN).join(payloads) + b"]")
    except (ValueError, RuntimeError):
        return None
    if not isinstance(values, list) or values[1::2] != [_BETWEEN] * (len(payloads) - 1):
        return None
    return values[::-2]


def classify(record: object) -> "tuple[str, Any]":
    """Check and classify one decoded record. Raises BadRecord."""
    if not isinstance(record, dict):
        raise BadRecord("types", "a record must be an object")
    kind = record.get("type")
    if kind == "flow" or kind in FLOW_TYPES:
        check_flow(record)
        return "flow", record
    if not isinstance(kind, str):
        raise BadRecord("fields" if kind is None else "types", "a record needs a type")
    if kind in ("flow_stats", "flow_purge"):
        flow = record.get("flow")
        digest = flow.get("digest") if isinstance(flow, dict) else None
        try:
            if isinstance(digest, str):
                return kind[5:], digest_key(digest)
        except ValueError:
            pass
        raise BadRecord("fields" if digest is None else "types", "a digest must be a string that is not empty")
    if kind in ("agent_hello", "agent_status"):
        return "agent", record
    if kind in ("definitions", "protocols"):
        return "names", record
    return "other", None


def check_flow(record: "dict[str, Any]") -> int:
    """Make sure that a flow record has what every decision and every element reads, with the right types.

    Optional parts are checked where they are read: a wrong type there raises TypeError, AttributeError or ValueError, and
    the record is counted then. Returns the digest key. Raises BadRecord.
    """
    try:
        flow = record["flow"]
        digest, local, other = flow["digest"], flow["local_ip"], flow["other_ip"]
        protocol = flow["ip_protocol"]
        get = flow.get
        name = get("detected_application_name", "")
        local_port, other_port = get("local_port", 0), get("other_port", 0)
        if (
            type(digest) is not str
            or type(local) is not str
            or type(other) is not str
            or type(protocol) is not int
            or type(flow["detected_protocol"]) is not int
            or type(get("detected_application", 0)) is not int
            or type(name) is not str
            or type(local_port) is not int
            or type(other_port) is not int
            or type(get("category", record)) is not dict
            or type(record.get("interface", "")) is not str
        ):
            raise BadRecord("types", "a field has a wrong type")
    except KeyError as missing:
        raise BadRecord("fields", f"no {missing}") from None
    except (TypeError, AttributeError):
        raise BadRecord("types", "a field has a wrong type") from None
    version = get("ip_version")
    if version != 4 and version != 6:
        raise BadRecord("fields" if version is None else "types", "ip_version must be 4 or 6")
    if (
        not 0 <= protocol <= 255
        or not 0 <= local_port | other_port <= 65535
        or not 0 < len(digest) <= _MAX_DIGEST
        or len(local) > _MAX_ADDRESS
        or len(other) > _MAX_ADDRESS
        or len(name) > _MAX_NAME
    ):
        raise BadRecord("types", "a field is out of range")
    if "0" <= name[:1] <= "9":
        _from_3x(flow, name)
    try:
        return digest_key(digest)
    except ValueError:
        raise BadRecord("types", "a digest must be hexadecimal") from None  # MicroPython packs it


def _from_3x(flow: "dict[str, Any]", name: str) -> None:
    """Rewrite a 3.x application name, `133.netify.netflix`, to the form of 4.x."""
    digits, dot, rest = name.partition(".")
    if dot and rest and digits.isdigit() and ascii_only(digits):
        flow["detected_application_name"] = rest


def agent_facts(record: "dict[str, Any]") -> "dict[str, int | float | str]":
    """Return what agent_hello and agent_status tell of the agent, as far as it is a number or a text of 128 characters."""
    found: dict[str, int | float | str] = {}
    for key in ("agent_version", "build_version", "json_version", "uptime", "flow_count"):
        value = record.get(key)
        if isinstance(value, int) or (isinstance(value, float) and value - value == 0):  # no NaN, no infinity: JSON
            found[key] = value
        elif isinstance(value, str):
            found[key] = value[:128]
    return found


def catalogue(record: "dict[str, Any]") -> tuple[dict[int, str], dict[int, str]]:
    """Return the id-to-name tables of applications and protocols in a definitions record; bad rows are left out.

    At most 8,192 names of 128 characters each (netifyd 4.4 has 800): the agent is trusted, its socket need not be.
    """
    tables: list[dict[int, str]] = []
    for key in ("applications", "protocols"):
        table: dict[int, str] = {}
        rows = record.get(key, ())
        for row in rows[:8192] if isinstance(rows, list) else ():
            if isinstance(row, dict):
                number, tag = row.get("id"), row.get("tag")
                if type(number) is int and 0 <= number < 1 << 32 and isinstance(tag, str):
                    table[number] = tag[:128]
        tables.append(table)
    return tables[0], tables[1]
