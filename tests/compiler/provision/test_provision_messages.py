"""The messages that make sets are those of the nft and ipset tools, byte for byte."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_vectors import IPSET_CREATE, NFT_NEWSET

from nfa.compiler.provision import ipset, nftset
from nfa.daemon.netlink import ipset_sets, nftables_sets

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")
FIELDS = (
    "local_mac", "other_mac", "local_addr", "other_addr", "local_port", "other_port", "mark", "interface",
    "ip_proto",
)  # fmt: skip


@pytest.mark.parametrize("case", NFT_NEWSET, ids=str)
def test_newset_is_what_nft_sends(case: tuple[Any, ...]) -> None:
    """Else the kernel or `nft list set` takes the set for something else."""
    table_family, fields, family, ttl, size = case
    key = nftset.key_of(fields, family)
    _, newset = nftset.create(table_family, "t", "x.v4", key, ttl=ttl, size=size)
    assert newset.hex() == NFT_NEWSET[case]


def test_newtable_leaves_the_flags_of_an_existing_table_alone() -> None:
    """A TABLE_FLAGS of 0, as nft sends it, would wake a table that somebody made dormant."""
    newtable, _ = nftset.create(1, "t", "x", nftset.key_of(["mark"], 4), ttl=0, size=1)
    assert newtable.hex() == "1c000000000a0104000000000000000001000000060001007400" + "0000"


def test_nft_flush_and_destroy() -> None:
    """DELSETELEM without elements empties a set, DELSET deletes it and not its table."""
    names = "01000000060001007400000006000200780000" + "00"
    assert nftables_sets.flush(1, "t", "x").hex() == "240000000e0a01000000000000000000" + names
    assert nftables_sets.destroy(1, "t", "x").hex() == "240000000b0a01000000000000000000" + names


@pytest.mark.parametrize("case", IPSET_CREATE, ids=str)
def test_create_is_what_ipset_sends(case: tuple[Any, ...]) -> None:
    """Else a set that the ipset tool made is not recognised as the same one (EEXIST)."""
    set_type, family, ttl, size, span = case
    created = ipset.create(
        "x.v4",
        set_type,
        family,
        protocol=7,
        revision=ipset.revision(set_type, (0, 99)),
        timeout=ttl or None,
        size=size,
        span=span,
    )
    assert created.hex() == IPSET_CREATE[case]


def test_ipset_flush_and_destroy() -> None:
    """They name one set: without SETNAME the kernel would empty or delete every ipset of the router."""
    names = "02000000050001000700000006000200780000" + "00"
    assert ipset_sets.flush("x", 7).hex() == "24000000040601000000000000000000" + names
    assert ipset_sets.destroy("x", 7).hex() == "24000000030601000000000000000000" + names


@pytest.mark.parametrize(("kernel_range", "chosen"), [(None, 4), ((0, 4), 4), ((0, 5), 5), ((0, 6), 6), ((0, 9), 6)])
def test_revision_is_one_both_sides_know(kernel_range: tuple[int, int] | None, chosen: int) -> None:
    """A revision that the kernel lacks is refused; one newer than ours may mean attributes we lack."""
    assert ipset.revision("hash:ip", kernel_range) == chosen


@given(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=5, unique=True), st.sampled_from([4, 6]))
def test_every_key_fits_and_reads_back(fields: list[str], family: int) -> None:
    """Any five fields fit a key (64 bytes, 32 bits of type), and its type is shown in nft's words."""
    key = nftset.key_of(fields, family)
    assert key.length <= 64
    assert key.number < 1 << 32
    assert nftset.type_text(key.number) == key.text
    assert len(key.text.split(" . ")) == len(fields)


def test_six_fields_are_refused() -> None:
    """nft forgets the first of six datatypes, so the set's elements would read as nonsense."""
    with pytest.raises(ValueError, match="at most 5 fields, not 6"):
        nftset.key_of(FIELDS[:6], 4)


def test_types_of_somebody_elses_sets_have_a_name_or_a_number() -> None:
    """A report that names the key of an unfit set must not fail on a datatype we never use."""
    assert nftset.type_text(20 << 6 | 63) == "iface_index . datatype 63"
    assert nftset.type_text(0) == "no type"


def test_names_are_quoted_in_commands() -> None:
    """Commands in reports are pasted into a root shell."""
    key = nftset.key_of(["mark"], 4)
    assert nftset.command("inet", "t", "a b", key, ttl=0) == ("nft add table inet t; nft add set inet t 'a b' '{ type mark; }'")
    assert ipset.command("a;b", "bitmap:ip", 4, ttl=5, span=(1, 258), skb=True) == (
        "ipset create 'a;b' bitmap:ip range 0.0.0.1-0.0.1.2 timeout 5 skbinfo"
    )
