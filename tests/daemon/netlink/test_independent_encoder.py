"""Every netlink message that the project makes is, byte for byte, what pyroute2 makes of the same."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.compiler.provision import ipset as ipset_text
from nfa.compiler.provision import nftset
from nfa.daemon.netlink import conntrack, ipset, ipset_sets, nftables, nftables_maps, nftables_rules, nftables_sets, rule_dumps

theirs = pytest.importorskip("independent_encoder", reason="pyroute2 is not installed")
pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="written for a little-endian machine")

FIELDS = (
    "local_mac", "other_mac", "local_addr", "other_addr", "local_port", "other_port", "mark", "interface", "ip_proto",
)  # fmt: skip
KEYS = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=5, unique=True)
IP_VERSION = st.sampled_from([4, 6])
TABLE_FAMILY = st.sampled_from(sorted(nftset.TABLE_FAMILIES.values()))
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
SECONDS = st.integers(0, (1 << 32) - 1)
WORD = st.integers(0, (1 << 32) - 1)
SEQUENCE = st.integers(1, (1 << 31) - 1)
SLOT = b"\x12\x34"
NOTES = {0: "NFTNL_UDATA_SET_KEYBYTEORDER", 3: "NFTNL_UDATA_SET_KEY_TYPEOF"}
# Of a set of somebody else, those that a set can be made with again.
FLAGS = {0x20: "NFT_SET_EVAL", 0x80: "NFT_SET_CONCAT"}
SKB = st.fixed_dictionaries({}, optional={"mark": WORD, "mask": WORD, "prio": WORD, "queue": st.integers(0, 0xFFFF)})


def notes_of(raw: bytes) -> list[tuple[str, bytes]]:
    """The notes in a set's user data, by libnftnl's names."""
    found = []
    while raw:
        kind, length = raw[:2]
        found.append((NOTES[kind], raw[2 : 2 + length]))
        raw = raw[2 + length :]
    return found


# -- nftables ------------------------------------------------------------------------------------------------------------


@given(KEYS, IP_VERSION, TABLE_FAMILY, NAME, NAME, st.integers(0, 1 << 40), WORD, st.sets(st.sampled_from(sorted(FLAGS))))
def test_nftables_sets_are_made_alike(
    fields: list[str], version: int, family: int, table: str, name: str, ttl: int, size: int, flags: set[int]
) -> None:
    """The kernel would make another set, or refuse the one that is there as another (EEXIST)."""
    key = nftset.key_of(fields, version)
    made = nftset.create(family, table, name, key, ttl=ttl, size=size, flags=sum(flags))
    names = {FLAGS[flag] for flag in flags} | ({"NFT_SET_TIMEOUT"} if ttl else set())
    notes = notes_of(key.userdata)
    expected = theirs.new_set(family, table, name, key.number, key.length, ttl, size, names, notes)
    assert made == (theirs.new_table(family, table), expected)


@given(TABLE_FAMILY, NAME, NAME, SEQUENCE)
def test_nftables_sets_are_emptied_deleted_and_looked_at_alike(family: int, table: str, name: str, sequence: int) -> None:
    """A name in the wrong place would empty or delete another set, or all of a table."""
    assert nftables_sets.flush(family, table, name) == theirs.nft_flush(family, table, name)
    assert nftables_sets.destroy(family, table, name) == theirs.nft_destroy(family, table, name)
    assert nftables_sets.ask_set(sequence, family, table, name) == theirs.ask_set(sequence, family, table, name)
    assert rule_dumps.ask_rules(sequence, family, table) == theirs.ask_rules(sequence, family, table)
    assert nftables.begin(sequence) == theirs.batch(nftables.BEGIN, sequence)
    assert nftables.end(sequence) == theirs.batch(nftables.END, sequence)


@given(KEYS, IP_VERSION, TABLE_FAMILY, NAME, st.integers(-1, 1 << 40), SEQUENCE, st.data())
def test_nftables_elements_are_encoded_alike(
    fields: list[str], version: int, family: int, name: str, timeout: int, sequence: int, data: st.DataObject
) -> None:
    """Other elements would come into the set, or stay for another time."""
    sizes = nftables.widths(tuple(fields), version)
    encoder = nftables.Elements(family, "t", name, sizes, timeout)
    packed = data.draw(st.lists(st.binary(min_size=sum(sizes), max_size=sum(sizes)), min_size=1, max_size=5))
    expand = nftables.expander(tuple(fields), version)
    keys = [expand(SLOT + element) for element in packed]
    own = timeout if timeout >= 0 else None
    for new, command in ((True, nftables.NEW), (False, nftables.DEL)):
        made = encoder.encode(command, sequence, [SLOT + element for element in packed])
        expected = [(key, own if new else None, None) for key in keys]
        assert made == theirs.nft_elements(new, sequence, family, "t", name, expected)
    left = data.draw(st.lists(SECONDS, min_size=len(keys), max_size=len(keys)))
    expected = [(key, own, seconds * 1000 if seconds else None) for key, seconds in zip(keys, left, strict=True)]
    assert encoder.restore(sequence, keys, left) == theirs.nft_elements(True, sequence, family, "t", name, expected)


@given(KEYS, IP_VERSION, TABLE_FAMILY, NAME, SEQUENCE, st.data())
def test_elements_of_maps_are_encoded_alike(
    fields: list[str], version: int, family: int, name: str, sequence: int, data: st.DataObject
) -> None:
    """Packets would meet another combination, or none."""
    sizes = nftables.widths(tuple(fields), version)
    encoder = nftables_maps.Numbers(family, "t", name, sizes)
    size = sum(sizes) + nftables_maps.END
    packed = [SLOT + one for one in data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=5))]
    expand = nftables.expander(tuple(fields), version)
    numbers = [element[-nftables_maps.END :] + bytes(2) for element in packed]
    plain = [(expand(element[: -nftables_maps.END]), None, None) for element in packed]
    expected = theirs.nft_elements(True, sequence, family, "t", name, plain, numbers)
    assert encoder.encode(nftables.NEW, sequence, packed) == expected
    assert encoder.encode(nftables.DEL, sequence, packed) == theirs.nft_elements(False, sequence, family, "t", name, plain)
    left = data.draw(st.lists(st.integers(0, 3), min_size=len(packed), max_size=len(packed)))
    timed = [(key, None, seconds * 1000 if seconds else None) for (key, _, _), seconds in zip(plain, left, strict=True)]
    assert encoder.restore(sequence, packed, left) == theirs.nft_elements(True, sequence, family, "t", name, timed, numbers)


@given(TABLE_FAMILY, NAME, NAME, st.integers(1, 0xFFFF), st.sampled_from([nftables_rules.NFT_JUMP, nftables_rules.NFT_GOTO]))
def test_what_leads_from_numbers_to_chains_is_encoded_alike(family: int, table: str, name: str, number: int, code: int) -> None:
    """A number would lead nowhere, and what is blocked passes."""
    key = [(number.to_bytes(4, "little"), None, None)]
    made = nftables_maps.leads(nftables.NEW, family, table, name, number, "c0001", code)
    assert made == theirs.nft_elements(True, 0, family, table, name, key, [(code, "c0001")])
    made = nftables_maps.leads(nftables.DEL, family, table, name, number, "")
    assert made == theirs.nft_elements(False, 0, family, table, name, key)


# -- ipset ---------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(ipset_text.REVISIONS)), IP_VERSION, st.integers(6, 7), NAME, st.none() | SECONDS, WORD,
    st.tuples(WORD, WORD),
)  # fmt: skip
def test_ipsets_are_made_alike(
    set_type: str, version: int, protocol: int, name: str, ttl: int | None, size: int, ends: tuple[int, int]
) -> None:
    """A set of the ipset tool would not be recognised as the same one (EEXIST)."""
    width = 0xFFFF if set_type == "bitmap:port" else 0xFFFFFFFF
    span = (ends[0] & width, ends[1] & width) if set_type.startswith("bitmap:") else None
    revision = ipset_text.revision(set_type, (0, 99))
    made = ipset_text.create(name, set_type, version, protocol=protocol, revision=revision, timeout=ttl, size=size, span=span)
    family = ipset_text.kernel_family(set_type, version)
    assert made == theirs.ipset_create(name, set_type, family, protocol, revision, ttl, size, span)


@given(st.sampled_from(sorted(ipset_text.REVISIONS)), st.sampled_from([0, 2, 10]), st.integers(6, 7), NAME, SEQUENCE)
def test_ipsets_are_emptied_deleted_and_looked_at_alike(
    set_type: str, family: int, protocol: int, name: str, sequence: int
) -> None:
    """Without the name the kernel would empty or delete every ipset of the router."""
    assert ipset_sets.flush(name, protocol) == theirs.ipset_flush(name, protocol)
    assert ipset_sets.destroy(name, protocol) == theirs.ipset_destroy(name, protocol)
    assert ipset_sets.ask_protocol(sequence) == theirs.ask_protocol(sequence)
    assert ipset_sets.ask_type(sequence, set_type, family, protocol) == theirs.ask_type(sequence, set_type, family, protocol)
    assert ipset_sets.ask_header(name, protocol, sequence) == theirs.ask_header(name, protocol, sequence)


@given(
    st.sampled_from(sorted(ipset_text.REVISIONS)), IP_VERSION, st.sampled_from(["local", "other"]), NAME,
    st.none() | SECONDS, SKB, SEQUENCE, st.data(),
)  # fmt: skip
def test_ipset_elements_are_encoded_alike(
    set_type: str,
    version: int,
    address_type: str,
    name: str,
    timeout: int | None,
    skb: dict[str, int],
    sequence: int,
    data: st.DataObject,
) -> None:
    """Other elements would come into the set, stay for another time, or mark packets otherwise."""
    fields = ipset_text.fields(set_type, address_type)
    version = 4 if set_type == "bitmap:ip" else version
    encoder = ipset.Elements(name, version, fields, 7, -1 if timeout is None else timeout, skb)
    sizes = [ipset.width(field, version) for field in fields]
    packed = data.draw(st.lists(st.binary(min_size=sum(sizes), max_size=sum(sizes)), min_size=1, max_size=5))
    elements = []
    for each in packed:
        row, place, seen = [], 0, False
        for field, size in zip(fields, sizes, strict=True):
            value, place = each[place : place + size], place + size
            if field.endswith("_addr"):
                row.append(("IP2" if seen else "IP", theirs.address(value)))
                seen = True
            elif field.endswith("_mac"):
                row.append(("ETHER", value.hex(":")))
            else:
                row.append(("PROTO" if field == "ip_proto" else "PORT", int.from_bytes(value, "big")))
        elements.append(row)
    family = 2 if version == 4 else 10
    for add, command in ((True, ipset.ADD), (False, ipset.DEL)):
        made = encoder.encode(command, sequence, [SLOT + each for each in packed])
        own = [timeout] * len(packed)
        assert made == theirs.ipset_elements(add, sequence, name, family, 7, elements, own, skb)
    left = data.draw(st.lists(SECONDS, min_size=len(packed), max_size=len(packed)))
    own = [seconds or timeout for seconds in left]
    expected = theirs.ipset_elements(True, sequence, name, family, 7, elements, own, skb)
    assert encoder.restore(sequence, [SLOT + each for each in packed], left) == expected


# -- conntrack -----------------------------------------------------------------------------------------------------------


@given(IP_VERSION, st.integers(0, 255), st.binary(min_size=36, max_size=36), WORD, WORD, SEQUENCE)
def test_connections_are_marked_and_cut_alike(
    version: int, protocol: int, raw: bytes, value: int, mask: int, sequence: int
) -> None:
    """Another connection would be marked or cut, or other bits be changed."""
    size = 4 if version == 4 else 16
    source, target, ports = raw[:size], raw[16 : 16 + size], raw[32:]
    packed = bytes((version, protocol)) + source + target + ports
    numbers = struct.unpack(">HH", ports)
    about = (source, target, protocol, numbers)
    made = conntrack.encode(conntrack.UPDATE, sequence, packed, conntrack.mark(value, mask))
    assert made == theirs.conntrack(0, sequence, *about, [("CTA_MARK", value & mask), ("CTA_MARK_MASK", mask)])
    assert conntrack.encode(conntrack.DELETE, sequence, packed, b"") == theirs.conntrack(2, sequence, *about, [])
    assert conntrack.encode(conntrack.READ, sequence, packed, b"") == theirs.conntrack(1, sequence, *about, [])
    labels = conntrack.labels(value << 60, mask << 60)
    expected = [("CTA_LABELS", value << 60 & mask << 60), ("CTA_LABELS_MASK", mask << 60)]
    assert conntrack.encode(conntrack.UPDATE, sequence, packed, labels) == theirs.conntrack(0, sequence, *about, expected)


@given(IP_VERSION, st.integers(0, 255), st.booleans(), SEQUENCE)
def test_the_connection_table_is_read_alike(version: int, protocol: int, filtered: bool, sequence: int) -> None:
    """The kernel would give entries of another kind, or refuse: no ICMP connection could be found."""
    family = 2 if version == 4 else 10
    expected = theirs.conntrack_dump(sequence, family, protocol if filtered else None)
    assert conntrack.read(sequence, version, protocol, filtered) == expected
