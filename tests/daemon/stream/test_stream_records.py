"""Payloads to records: what is accepted is safe to read, what is not is counted by its kind, and nothing raises else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.daemon.stream import records
from nfa.daemon.stream.records import (
    BAD_KINDS,
    FLOW_TYPES,
    MANY,
    MAX_RENAMED,
    SHALLOW,
    TOGETHER,
    BadRecord,
    _short_key,
    agent_facts,
    catalogue,
    classify,
    digest_key,
    earlier_keys,
    parse,
    previous_keys,
    read,
    read_some,
    total_bytes,
)

DIGEST = "c4c07ca55baa19a7fe3652bcd356765a7aaaaaaa"
KEY = digest_key(DIGEST)


@pytest.fixture(scope="module", params=["json", "orjson"])
def fast(request: pytest.FixtureRequest) -> Any:
    """Every test that has this holds for the standard decoder and for orjson before it."""
    return pytest.importorskip("orjson").loads if request.param == "orjson" else None


def without(name: str) -> dict[str, Any]:
    record = samples.flow()
    del record["flow"][name]
    return record


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (samples.hello(), "agent"),
        (samples.status(uptime=5), "agent"),
        (samples.definitions(), "names"),
        (samples.as_v3(samples.definitions()), "names"),
        (samples.stats(DIGEST), "stats"),
        (samples.purge(DIGEST), "purge"),
        ({"type": "flow_stats", "flow": {"digest": DIGEST}}, "stats"),
        ({"type": "license_status"}, "other"),
        *((samples.as_v5(samples.flow(), kind), "flow") for kind in FLOW_TYPES),
        (samples.flow("ICMP"), "flow"),
        *((without(name), "flow") for name in ("local_mac", "category", "local_port", "detected_application", "risks")),
    ],
)
def test_every_kind_of_record(fast: Any, record: dict[str, Any], kind: str) -> None:
    """Records of some agent version would be dropped."""
    found, given_value = read(samples.payload(record), fast)
    assert found == kind
    if kind in ("stats", "purge"):
        assert given_value == KEY
    elif kind != "other":
        assert given_value["type"] == record["type"]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("digest", None, "types"), ("digest", 5, "types"), ("digest", "", "types"),
        ("digest", "a" * 65, "types"), ("local_ip", 5, "types"), ("other_ip", None, "types"), ("ip_protocol", "6", "types"),
        ("ip_protocol", 256, "types"), ("ip_protocol", -1, "types"), ("ip_protocol", True, "types"),
        ("ip_protocol", 6.0, "types"), ("detected_protocol", "TLS", "types"), ("detected_application", "youtube", "types"),
        ("detected_application_name", 124, "types"), ("local_port", 65536, "types"), ("other_port", -1, "types"),
        ("other_port", "443", "types"), ("category", [], "types"), ("ip_version", 5, "types"), ("ip_version", "4", "types"),
        ("local_port", 10**400, "types"), ("local_port", -1, "types"), ("other_port", 65536, "types"),
        ("local_ip", "x" * 46, "types"), ("other_ip", "x" * 46, "types"), ("detected_application_name", "x" * 256, "types"),
        ("local_port", "1", "types"), ("ip_version", None, "fields"), ("ip_version", 0, "types"), ("ip_version", 7, "types"),
        ("detected_application_name", None, "types"), ("detected_application", None, "types"), ("category", None, "types"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_makes_a_record_unusable(fast: Any, name: str, value: object, kind: str) -> None:
    """A string where a number belongs would raise in the middle of a decision, or pack a wrong element."""
    record = samples.flow()
    record["flow"][name] = value
    with pytest.raises(BadRecord) as caught:
        read(json.dumps(record).encode(), fast)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("digest", "a" * 64), ("digest", "a"), ("local_ip", "x" * 45), ("other_ip", "x" * 45), ("ip_protocol", 0),
        ("ip_protocol", 255), ("local_port", 0), ("local_port", 65535), ("other_port", 0), ("other_port", 65535),
        ("detected_application_name", "x" * 255), ("detected_application_name", ""), ("ip_version", 4), ("ip_version", 6),
        ("category", {}),
    ],
)  # fmt: skip
def test_a_field_may_have_any_value_that_netifyd_writes(name: str, value: object) -> None:
    """Flows on the last port, of the first protocol or with the longest name would escape every policy."""
    record = samples.flow()
    record["flow"][name] = value
    assert classify(record) == ("flow", record) and record["flow"][name] == value


def test_fields_that_a_record_may_lack_are_no_reason_to_refuse_it() -> None:
    """All flows of an agent that leaves them out would be bad records; one that has them wrong would end a decision."""
    record = samples.flow()
    for name in ("detected_application_name", "detected_application", "local_port", "other_port", "category"):
        del record["flow"][name]
    del record["interface"]
    assert classify(record) == ("flow", record)
    for interface in (5, None, ["br-lan"]):
        with pytest.raises(BadRecord) as caught:
            classify(record | {"interface": interface})
        assert caught.value.kind == "types"


@pytest.mark.parametrize("name", ["digest", "local_ip", "other_ip", "ip_protocol", "detected_protocol", "ip_version"])
def test_a_field_that_every_decision_needs_must_be_there(name: str) -> None:
    """A decision would raise KeyError for every record of such an agent."""
    with pytest.raises(BadRecord) as caught:
        classify(without(name))
    assert caught.value.kind == "fields"


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"{", "json"), (b"nonsense", "json"), (b'{"type":"flow"', "json"), (b'{"a":1}{"b":2}', "json"),
        (b"\xff\xfe", "json"), (b"[" * 100_000, "json"), (b'{"a":' * 100_000, "json"), (b"[]", "types"), (b"null", "types"),
        (b"1", "types"), (b'"flow"', "types"), (b"{}", "fields"), (b'{"type":5}', "types"), (b'{"type":null}', "fields"),
        (b'{"type":["flow"]}', "types"), (b'{"type":{}}', "types"), (b'{"type":"flow"}', "fields"),
        (b'{"type":"flow","flow":[]}', "types"), (b'{"type":"flow","flow":null}', "types"),
        (b'{"type":"flow_stats"}', "fields"),
        (b'{"type":"flow_stats","flow":{"digest":7}}', "types"), (b'{"type":"flow_purge","flow":{"digest":[]}}', "types"),
        (b'{"type":"flow_purge","flow":{"digest":""}}', "types"), (b"9" * 5000, "json"),
        (b'{"type":' + b"9" * 5000 + b"}", "json"),
    ],
    ids=lambda value: str(value)[:30].replace("\\", ""),
)  # fmt: skip
def test_a_payload_that_is_no_record(fast: Any, payload: bytes, kind: str) -> None:
    """One broken record would end the daemon."""
    with pytest.raises(BadRecord) as caught:
        read(payload, fast)
    assert caught.value.kind == kind


def changed(**fields: object) -> dict[str, Any]:
    record = samples.flow()
    return record | {"flow": record["flow"] | fields}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ([], "a record must be an object"), ({}, "a record needs a type"), ({"type": 5}, "a record needs a type"),
        ({"type": "flow_stats"}, "a digest must be a string that is not empty"), (without("local_ip"), "no 'local_ip'"),
        ({"type": "flow"}, "no 'flow'"), ({"type": "flow", "flow": []}, "a field has a wrong type"),
        (changed(digest=5), "a field has a wrong type"), (changed(ip_version=5), "ip_version must be 4 or 6"),
        (changed(local_port=-1), "a field is out of range"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_record_is_said(record: object, words: str) -> None:
    """Who asks `nfa explain` about a flow would not learn what its record lacks."""
    with pytest.raises(BadRecord) as caught:
        classify(record)
    assert str(caught.value) == words


def test_strange_json_is_still_json(fast: Any) -> None:
    """A flow could escape its policy by sending bytes that are not UTF-8, or NaN, where nobody looks."""
    raw = samples.payload(samples.flow(host_server_name="HOST")).replace(b"HOST", b"\xff\xfe.example")
    assert read(raw, fast)[1]["flow"]["host_server_name"] == "\ufffd\ufffd.example"
    raw = raw.replace(b'"dhc_hit":false', b'"dhc_hit":NaN').replace(b'"soft_dissector":false', b'"soft_dissector":-Infinity')
    assert read(raw, fast)[0] == "flow"
    with pytest.raises(BadRecord):
        read(raw.replace(b'"ip_protocol":6', b'"ip_protocol":NaN'), fast)
    assert parse(b'{"a": 1}  \n', fast) == {"a": 1}


def test_names_of_3x_lose_their_id(fast: Any) -> None:
    """`app == 'netflix'` would not match with an old agent."""
    record = samples.as_v3(samples.flow("HTTP/S", "netify.netflix"))
    assert record["flow"]["detected_application_name"] == "133.netify.netflix"
    assert read(samples.payload(record), fast)[1]["flow"]["detected_application_name"] == "netify.netflix"
    for name in ("9gag", "1.", "7x.netify.a", "netify.4shared", "", "\u0661.netify.x"):
        record["flow"]["detected_application_name"] = name
        assert classify(copy.deepcopy(record))[1]["flow"]["detected_application_name"] in (name, name.partition(".")[2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.netify.a", "netify.a"), ("9.netify.a", "netify.a"), ("133.a.b.c", "a.b.c"), ("1.x", "x"), ("1.", "1."),
        ("9gag", "9gag"), ("9x.netify.a", "9x.netify.a"), ("1\u0661.netify.a", "1\u0661.netify.a"), ("netify.a", "netify.a"),
        ("/.a", "/.a"), (":.a", ":.a"), ("1..a", ".a"),
    ],
)  # fmt: skip
def test_only_the_number_of_3x_is_taken_from_a_name(name: str, expected: str) -> None:
    """An application whose name begins with a digit would lose it, and its rule not match."""
    record = samples.flow()
    record["flow"]["detected_application_name"] = name
    assert classify(record)[1]["flow"]["detected_application_name"] == expected


@pytest.mark.parametrize("kind", ["flow_stats", "flow_purge"])
@pytest.mark.parametrize(
    ("digest", "decoded", "key"),
    [
        (b"ab", False, "ab"), (b"a" * 64, False, "a" * 64), (b"a" * 65, True, "a" * 65), (b"a\\u0062", True, "ab"),
        (b"a\\" + b'"', True, 'a"'), (b"\xff", True, "\ufffd"), (b"\xc3\xa9", False, "\u00e9"),
    ],
)  # fmt: skip
def test_counters_are_read_without_a_decoder_where_that_is_safe(kind: str, digest: bytes, decoded: bool, key: str) -> None:
    """Nine records of ten would cost five times as much, or refresh and end another flow than the one they name."""
    asked: list[bytes] = []

    def fast(payload: bytes) -> object:
        asked.append(payload)
        raise ValueError

    payload = b'{"flow":{"digest":"%s","x":1},"type":"%s"}' % (digest, kind.encode())
    assert read(payload, fast) == (kind[5:], digest_key(key))
    assert asked == [payload] * decoded
    payload = b'{"flow":{"digest":"%s","gtp":{"digest":"cd"}},"type":"%s"}' % (digest, kind.encode())
    assert read(payload, fast) == (kind[5:], digest_key(key)), "the first one is the flow's"
    for other in (b'{"flow":{},"type":"%s"}', b'{"flow":{"digest":""},"type":"%s"}'):
        with pytest.raises(BadRecord):
            read(other % kind.encode(), fast)


def test_a_quick_decoder_is_asked_unless_a_record_may_be_nested_deep() -> None:
    """Two decoders would differ over deep records, or orjson never be used for the long ones that need it most."""
    asked: list[bytes] = []

    def fast(payload: bytes) -> object:
        asked.append(payload)
        return "quick"

    many = b'{"a":[' + b"{}," * (MANY - 3) + b"{}]}"
    assert many.count(b"{") + many.count(b"[") == MANY
    short, long = many.ljust(SHALLOW - 1), many.ljust(SHALLOW)
    fewer = many.replace(b"{},", b"1 ,", 1).ljust(SHALLOW)
    assert [parse(payload, fast) == "quick" for payload in (b"{}", short, long, fewer)] == [True, True, False, True]
    assert asked == [b"{}", short, fewer]
    lists, objects = b"[%s1]" % (b"[]," * MANY), b"[%s1]" % (b"{}," * MANY)
    assert "quick" not in (parse(lists.ljust(SHALLOW), fast), parse(objects.ljust(SHALLOW), fast))


def test_keys_of_routers_whose_hash_is_no_secret() -> None:
    """Under MicroPython two flows would share a key, or a digest that is none pass for one."""
    assert _short_key(DIGEST) == int(DIGEST[:14], 16) == _short_key(DIGEST[:14])
    assert _short_key("00ff") == 255
    for wrong in ("", "xyz", "abc"):
        with pytest.raises(ValueError):
            _short_key(wrong)


def test_a_key_of_a_flow_is_a_small_number() -> None:
    """A table of 65,536 flows would take more memory than the router has for it."""
    assert all(0 <= digest_key(f"{number:040x}") < 1 << 60 for number in range(100))
    assert len({digest_key(f"{number:040x}") for number in range(1000)}) == 1000
    with pytest.raises(ValueError):
        digest_key("")


@given(
    st.sampled_from(["flow_stats", "flow_purge"]),
    st.text(alphabet='abc"\\{}:,digest\n\u2028é', max_size=40) | st.just('","digest":"ffffffffffffffff","type":"flow_stats"}'),
    st.text("0123456789abcdef", min_size=15, max_size=40),
    st.booleans(),
    st.booleans(),
)
def test_the_fast_path_is_the_slow_path(fast: Any, kind: str, name: str, digest: str, newline: bool, compact: bool) -> None:
    """A device name that looks like a digest would refresh or end another flow."""
    record = samples.stats(digest, interface=name) | {"type": kind, "reason": name}
    payload = samples.payload(record) if compact else json.dumps(record, sort_keys=True).encode() + b"\n"
    payload = payload if newline else payload.strip()
    assert read(payload, fast) == classify(json.loads(payload)) == (kind[5:], digest_key(digest))


words = st.sampled_from(["flow", "flow_stats", "1.2.3.4"])
keys = st.sampled_from(["type", "flow", "digest", "a"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_record_or_a_bad_record(fast: Any, payload: bytes) -> None:
    """Whatever is on the socket must not raise anything that the loop does not know."""
    try:
        assert read(payload, fast)[0] in ("flow", "stats", "purge", "agent", "names", "other")
    except BadRecord as bad:
        assert bad.kind in BAD_KINDS


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(samples.flow()["flow"])), json_values)
def test_a_flow_with_any_field_replaced(name: str, value: object) -> None:
    """The same, one field at a time: what passes has the types that decisions rely on."""
    record = samples.flow()
    record["flow"][name] = value
    try:
        flow = classify(record)[1]["flow"]
    except BadRecord:
        return
    assert isinstance(flow["digest"], str)
    assert isinstance(flow["local_ip"], str)
    assert 0 <= flow["ip_protocol"] <= 255
    assert 0 <= flow.get("other_port", 0) <= 65535
    assert flow["ip_version"] in (4, 6)


def test_names_of_the_agent() -> None:
    """A definitions record with a bad row would cost all names."""
    applications, protocols = catalogue(samples.definitions())
    assert applications[124] == "netify.youtube"
    assert protocols[196] == "HTTP/S"
    rows = [{"id": 1, "tag": "a" * 500}, {"id": "2", "tag": "b"}, None, 5, {"id": 3}, {"tag": "c"}]
    assert catalogue({"applications": rows, "protocols": "none"}) == ({1: "a" * 128}, {})
    assert catalogue({}) == catalogue({"applications": 5, "protocols": None}) == ({}, {})


def test_names_of_the_agent_are_bounded() -> None:
    """An agent gone mad would take the router's memory, or the last names of a usual one be lost."""
    numbers = [-1, 0, (1 << 32) - 1, 1 << 32, True, 1.0]
    rows = [{"id": number, "tag": "a" * 128} for number in numbers] + [{"id": 7, "tag": 7}]
    assert catalogue({"applications": "none", "protocols": rows}) == ({}, {0: "a" * 128, (1 << 32) - 1: "a" * 128})
    many = [{"id": number, "tag": str(number)} for number in range(8193)]
    assert len(catalogue({"applications": many})[0]) == 8192 and catalogue({"applications": many})[0][8191] == "8191"


def test_an_agent_tells_of_itself_in_numbers_and_short_texts() -> None:
    """An object, or a text of a megabyte, would stay in memory; NaN and infinity would be no JSON in `nfa status`."""
    whole = {"agent_version": "4.4.7", "build_version": "b" * 128, "json_version": 1.9, "uptime": 60, "flow_count": 7}
    assert agent_facts(whole | {"cpu_cores": 4, "type": "agent_status"}) == whole
    assert agent_facts({"agent_version": "x" * 129, "uptime": 0.0}) == {"agent_version": "x" * 128, "uptime": 0.0}
    wrong: tuple[object, ...] = (None, [], {}, float("nan"), float("inf"), float("-inf"))
    assert [agent_facts({"agent_version": value}) for value in wrong] == [{}] * len(wrong)


# -- what statistics say of a flow ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [(b'"total_bytes":5}', 5), (b'"total_bytes" : 12,', 12), (b'"total_bytes":0}', 0), (b'"total_bytes":-1}', None),
     (b'"total_bytes":"7"}', None), (b'"total_bytes":', None), (b'"bytes":5}', None), (b'"total_bytes":' + b"9" * 40, None),
     (b'"total_bytes":1234567890}', 1234567890), (b'"total_bytes":' + b"9" * 18 + b",", 10**18 - 1),
     (b'"total_bytes":' + b"9" * 19 + b",", None), (b'"total_bytes":7:8}', 7), (b'"total_bytes":/}', None),
     (b'"total_bytes" :  ' + b"9" * 18 + b",", 10**18 - 1), (b'"total_bytes":1},"gtp":{"total_bytes":2}}', 1),
     (b'"total_bytes":X5}', None)],
)  # fmt: skip
def test_bytes_are_read_from_whatever_the_agent_writes(text: bytes, size: int | None) -> None:
    """A number of a million digits would stop the loop for seconds, or a log tell of fewer bytes than there were."""
    assert total_bytes(b'{"flow":{' + text) == size


def test_earlier_digests_are_those_that_are_digests() -> None:
    """netifyd 5: a flow that goes on under another digest would let go of its block, and one that is no list end the record."""
    assert earlier_keys({"digest_prev": ["ab", "cd"]}) == [digest_key("ab"), digest_key("cd")]
    assert earlier_keys({"digest_prev": ["", 7, None, "ab"]}) == [digest_key("ab")]
    for nothing in ({}, {"digest_prev": None}, {"digest_prev": "ab"}, {"digest_prev": {"ab": 1}}, {"digest_prev": 7}):
        assert earlier_keys(nothing) == []
    names = [f"{number:040x}" for number in range(MAX_RENAMED + 1)]
    assert earlier_keys({"digest_prev": names}) == list(map(digest_key, names[:-1]))


def test_earlier_digests_of_statistics_are_others_than_the_present_one() -> None:
    """A flow that comes back to its first digest would end itself."""
    record = {"flow": {"digest_prev": ["ab", "cd", "ef"]}}
    assert previous_keys(record, digest_key("cd")) == [digest_key("ab"), digest_key("ef")]
    assert previous_keys({"flow": {"digest_prev": []}}, 0) == []
    late = {"flow": {"digest_prev": ["ab"] * MAX_RENAMED + [7]}}
    assert previous_keys(late, 0) == [digest_key("ab")] * MAX_RENAMED, "nobody looks so far"


@pytest.mark.parametrize(
    "record",
    [None, [], "flow", {}, {"flow": None}, {"flow": []}, {"flow": {}}, {"flow": {"digest_prev": "ab"}},
     {"flow": {"digest_prev": {}}}, {"flow": {"digest_prev": ["ab", 7]}}, {"flow": {"digest_prev": [None]}}],
    ids=str,
)  # fmt: skip
def test_statistics_whose_earlier_digests_are_none_are_counted(record: object) -> None:
    """Whoever writes to the socket would raise what the loop takes for a fault of nfa."""
    with pytest.raises(BadRecord) as caught:
        previous_keys(record, 0)
    assert (caught.value.kind, str(caught.value)) == ("types", "digest_prev must be a list of digests")


# -- two decoders, one outcome -----------------------------------------------------------------------------------------

# What a decoder may see in another way: blanks, numbers at the edges of types, halves of characters, bytes that are no text,
# deep nesting, words that only Python knows.
tokens = st.sampled_from([
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"a":', b"1", b"-", b"-0", b"0", b"01", b".5", b"1.", b"1e5",
    b"1E400", b"18446744073709551616", b"-9223372036854775809", b"9" * 30, b"1.7976931348623159e308", b"true", b"null",
    b"NaN", b"-Infinity", b"nul", b" ", b"\t", b"\n", b"\r", b"\x0b", b"\x0c", b"\xa0", b"\xc2\xa0", b"\xe2\x80\xa8",
    b"\xef\xbb\xbf", b"\0", b"\x1f", b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"',
    b'"\\ud83d\\ude00"', b'"\\ude00\\ud83d"', b'"\\u12"', b'"\\x"', b'"\\/"', b"//", b"[" * 150, b"]" * 150,
    b"[" * 1100, b"]" * 1100,
])  # fmt: skip
around = st.binary(max_size=3) | st.sampled_from([b" ", b"\n ", b"\t", b"\x0b", b"\xc2\xa0", b"\xef\xbb\xbf"])


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def outcome(payload: bytes, fast: Any) -> str:
    """What a payload is decoded to, or that it is refused. A number beyond 64 bits is as good as its float."""
    try:
        value = parse(payload, fast)
    except BadRecord as bad:
        return bad.kind
    return "deep" if payload.count(b"{") + payload.count(b"[") > 500 else json.dumps(_narrow(value))


def _narrow(value: object) -> object:
    """The value with floats for integers beyond 64 bits."""
    if isinstance(value, dict):
        return {key: _narrow(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_narrow(item) for item in value]
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return float(value)
    return value


@settings(max_examples=2000, deadline=None)
@given(
    st.lists(tokens, max_size=9).map(b"".join)
    | st.tuples(around, json_values.map(lambda value: json.dumps(value).encode()), around).map(b"".join)
    | st.sampled_from([10, 150, 199, 201, 400, 985, 1020, 3000]).map(nested)
)
def test_both_decoders_take_and_refuse_the_same(payload: bytes) -> None:
    """A flow would be matched on a router with orjson, and be a bad record on one without."""
    loads = pytest.importorskip("orjson").loads
    assert outcome(payload, loads) == outcome(payload, None)


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n\t "])
def test_blanks_may_stand_around_a_record(fast: Any, blank: bytes) -> None:
    """A record with a blank before it would be a bad one for the standard decoder."""
    assert parse(blank + b'{"a":1}' + blank, fast) == {"a": 1}
    for no_blank in (b"\x0b", "\u00a0".encode()):
        for payload in (no_blank + b"{}", b"{}" + no_blank):
            with pytest.raises(BadRecord):
                parse(payload, fast)


def one_by_one(payloads: list[bytes]) -> list[tuple[str, Any]]:
    """What `read` makes of each payload."""
    found: list[tuple[str, Any]] = []
    for payload in payloads:
        try:
            found.append(read(payload))
        except BadRecord as bad:
            found.append(("bad", bad.kind))
    return found


PIECES = [
    samples.payload(samples.flow(digest=f"{number:040x}", host_server_name=name)) for number, name in enumerate(("a", "\u00e9"))
]
PIECES += [
    b'{"type":"agent_status"}',
    b'{"type":"x","a":[1',
    b"2]}",
    b"{}",
    b"{},{}",
    b"",
    b"0",
    b'{"a":"',
    b'"}',
    b"[",
    b"]",
    b"\xff\xc3",
]
PIECES += [
    b'{"flow":{"digest":"c4c07ca55baa19a7fe3652bcd356765a7aaaaaaa"},"type":"flow_stats"}',
    b'{"flow":{},"type":"flow_purge"}',
]
PIECES += [b"[" * 100_000, b"1" * 5000, b'{"type":"x","a":NaN}', b' {"type":"x"} ', b"\xef\xbb\xbf{}"]


def decoded_some(payloads: list[bytes], fast: Callable[[bytes], object] | None = None) -> list[tuple[str, object]]:
    """What several payloads are, without the fields of statistics."""
    return [(kind, value) for kind, value, _ in read_some(payloads, fast)]


@given(st.text(st.characters(max_codepoint=127), max_size=80), st.sampled_from(["flow_stats", "flow_purge"]))
def test_fields_come_with_the_digest_that_the_flow_record_has(digest: str, kind: str) -> None:
    """What a flow has would count for no flow, or for another one, wherever the record is not written as netifyd 4.4 does."""
    made = samples.stats("a" * 40, local=(10, 1), other=(90, 2)) | {"type": kind}
    made["flow"]["digest"] = digest
    for payload in (samples.payload(made).strip(), json.dumps(made).encode()):
        ((found, value, fields),) = read_some([payload])
        if found == "bad":
            assert digest == ""
            continue
        assert (found, value) == (kind[5:], digest_key(digest))
        assert not fields or (fields[4], fields[6]) == (b'"local_bytes":10', b'"other_bytes":90')
        assert fields or not digest.isalnum() or b": " in payload


@pytest.mark.parametrize("kind", ["flow", "flow_dpi_update", "flow_dpi_complete"])
def test_each_record_of_a_flow_comes_with_its_key(kind: str) -> None:
    """What netifyd finds out later would be decided about another flow: the first guess stays blocked."""
    made = samples.flow() | {"type": kind}
    ((found, _, key),) = read_some([samples.payload(made).strip()])
    assert (found, key) == ("flow", digest_key(made["flow"]["digest"]))


@pytest.mark.parametrize("port", ["local_port", "other_port"])
def test_the_first_number_that_is_no_port_is_refused(port: str) -> None:
    """An element of a set has two bytes for it: packing it would raise in the middle of a batch."""
    ports = {"local_port": 0, "other_port": 0}
    records.check_flow(changed(**ports | {port: 65535}))
    with pytest.raises(BadRecord) as caught:
        records.check_flow(changed(**ports | {port: 65536}))
    assert caught.value.kind == "types"


def test_a_digest_that_micropython_cannot_pack_is_a_bad_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small router one strange digest would lose all records that were read with it."""
    monkeypatch.setattr(records, "digest_key", records._short_key)
    with pytest.raises(BadRecord) as caught:
        records.check_flow(changed(digest="no hex"))
    assert caught.value.kind == "types"


def test_statistics_with_fewer_fields_than_netifyd_writes_come_without_them() -> None:
    """A flow's bytes would be read from the end of the record: `"type"` as what the other end has sent."""
    six = b'{"flow":{"a":1,"b":2,"digest":"' + DIGEST.encode() + b'","c":3,"local_bytes":10,"other_bytes":90}'
    assert read_some([six + b',"type":"flow_stats"}']) == [("stats", KEY, [])]
    ((_, _, fields),) = read_some([six[:-1] + b',"d":4},"type":"flow_stats"}'])
    assert fields[4] == b'"local_bytes":10'


@pytest.mark.parametrize("stray", [b"1", b"[]", b'"flow"', b"null"])
def test_what_is_no_record_at_all_costs_none_of_those_beside_it(stray: bytes) -> None:
    """One stray value would lose all that was read with it."""
    assert [kind for kind, _ in decoded_some([*flows(1), stray, STATS])] == ["flow", "bad", "stats"]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12))
def test_records_that_are_decoded_together_are_those_of_each_payload(payloads: list[bytes]) -> None:
    """A broken payload would take others with it, or become a record together with one of them."""
    assert decoded_some(payloads) == one_by_one(payloads)


def test_a_record_that_is_spread_over_payloads_is_detected() -> None:
    """As many values as payloads are no proof: one payload has two of them, and two others are the halves of one."""
    for payloads in ([b"{},{}", b'{"type":"x","a":[1', b"2]}"], [b"{},0,{}", b'{"type":"x","a":[1', b"0,2]}"]):
        assert [kind for kind, _ in decoded_some(payloads)] == ["bad", "bad", "bad"]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the standard decoder was given."""
    given: list[bytes] = []
    inner = records.parse_json

    def parse_json(raw: bytes) -> object:
        given.append(raw)
        return inner(raw)

    monkeypatch.setattr(records, "parse_json", parse_json)
    return given


def flows(count: int) -> list[bytes]:
    """As many records, as they come out of the framer: without the newline at their end."""
    return [samples.payload(samples.flow(local_port=port)).strip() for port in range(1, count + 1)]


STATS, PURGE = samples.payload(samples.stats(DIGEST)).strip(), samples.payload(samples.purge(DIGEST)).strip()


@pytest.mark.parametrize("count", [2, 3, 4, 5, 32])
def test_what_is_decoded_is_decoded_together(decoded: list[bytes], count: int) -> None:
    """Flow records would take nearly twice as long, or records be mixed up with statistics that stand between them."""
    payloads = flows(count)
    payloads[1:1] = [STATS, PURGE]
    payloads.append(STATS)
    found = decoded_some(payloads)
    assert len(decoded) == 1 and DIGEST.encode() not in decoded[0]
    assert found == one_by_one(payloads)
    assert [kind for kind, _ in found] == ["flow", "stats", "purge"] + ["flow"] * (count - 1) + ["stats"]


def test_a_record_alone_is_decoded_as_it_is(decoded: list[bytes]) -> None:
    """On a quiet line each record would be copied, and wait for nothing."""
    payloads = [*flows(1), STATS]
    assert [kind for kind, _ in decoded_some(payloads)] == ["flow", "stats"] and decoded == payloads[:1]
    assert decoded_some([STATS]) == [("stats", KEY)] and decoded_some([]) == [] and len(decoded) == 1


def test_so_many_bytes_are_decoded_together_and_no_more(decoded: list[bytes]) -> None:
    """Thirty-two records of a megabyte each would be in memory twice."""
    first, second = flows(2)
    fits = [first, second.ljust(TOGETHER - len(first))]
    assert len(decoded_some(fits)) == 2 and len(decoded) == 1
    longer = [first, fits[1] + b" "]
    assert len(decoded_some(longer)) == 2 and decoded[1:] == longer


def test_payloads_that_cannot_be_decoded_together_are_decoded_one_by_one(decoded: list[bytes]) -> None:
    """One broken record of the agent would take thirty others with it."""
    payloads = flows(3)
    payloads[1] = payloads[1][:-10]
    assert [kind for kind, _ in decoded_some(payloads)] == ["flow", "bad", "flow"]
    assert decoded[1:] == payloads


def test_a_quick_decoder_is_asked_for_each_payload(decoded: list[bytes]) -> None:
    """orjson is quicker with each than the standard decoder with all of them."""
    asked: list[bytes] = []

    def fast(payload: bytes) -> object:
        asked.append(payload)
        return json.loads(payload)

    spaced = json.dumps(samples.stats(DIGEST)).encode()
    quoted = b'{"flow":{"digest":"a\\u0062"},"type":"flow_stats"}'
    payloads = [*flows(1), STATS, spaced, quoted, *flows(2)]
    assert [kind for kind, _ in decoded_some(payloads, fast)] == ["flow", "stats", "stats", "stats", "flow", "flow"]
    assert (asked, decoded) == ([payload for payload in payloads if payload is not STATS], [])
    assert [kind for kind, _ in decoded_some(payloads[:1], fast)] == ["flow"] and (len(asked), decoded) == (6, [])
