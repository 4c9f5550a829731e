"""What encodes the elements of a slot's set, and reads its keys: made when first needed.

In: a slot, and a socket to ask the kernel with. Out: the slot's `encoder`, `expand` and `pack`. A set of the daemon's own has
single keys. One that somebody else makes may be of ranges (`flags interval`, as fw4 makes them), and that is known only once it
is there: so it is asked for whenever such a set may be another one than before.
"""

from ...netlink import ipset, nftables

MYPY = False
if MYPY:
    from ...netlink.socket import Dump
    from .slot import Slot


def make(slot: "Slot", dump: "Dump") -> None:
    """Make a slot's encoder. A set that is not there counts as one of single keys, until it is."""
    data = slot.data
    fields, family = data["fields"], data["family"]
    timeout: int = data["ttl"] if data["element_timeout"] and data["timeouts"] else -1
    if data["kind"] != "nftset":
        slot.encoder = ipset.Elements(data["set"], family, fields, data["protocol"], timeout, data["skb"])
        return
    where = data["table_family"], data["table"], data["set"]
    sizes = nftables.widths(fields, family)
    if "map" in data:
        # Only policies with a firewall target have this in memory.
        from ...netlink.nftables_maps import END, Numbers

        expand, pack = nftables.expander(fields, family), nftables.packer(fields, family, slot.number)
        slot.expand = lambda key: expand(key[:-END])
        slot.pack = lambda key: slot.wanted(pack(key))
        slot.encoder = Numbers(where[0], where[1], where[2], sizes)
        return
    milliseconds = timeout * 1000 if timeout >= 0 else -1
    if not data["managed"]:
        # Only policies with such sets have this in memory.
        from ...netlink.nftables_ranges import Ranges, form_of, range_expander, range_packer

        form = form_of(dump, *where)
        if form > 0:
            slot.expand = range_expander(fields, family)
            slot.pack = range_packer(fields, family, slot.number)
            slot.encoder = Ranges(where[0], where[1], where[2], sizes, milliseconds, form, slot.expand)
            return
    slot.expand = nftables.expander(fields, family)
    slot.pack = nftables.packer(fields, family, slot.number)
    slot.encoder = nftables.Elements(where[0], where[1], where[2], sizes, milliseconds)
