"""What a slot is: a set of the kernel that a target fills for one address family, as plain data for the daemon.

In: a target. Out: its slot, which can be marshalled. Its keys, besides the options `ttl` (seconds), `managed`,
`flush_on_create` and `flush_on_destroy`:

target, kind      the target's name; 'ipset' or 'nftset'
family            4 or 6
set               the kernel set's name
table             the table's name, '' for an ipset
table_family      its nfproto, 0 for an ipset
type              the ipset type, or nft's words for the key
fields            names of the flow's fields, in the order of the key
timeouts          elements of the kernel set can expire
element_timeout   each element must carry `ttl` (0: never) as its own, for the set's default is another
size              most elements of the set, 0 for no limit and for bitmaps that are there
range             first and last address or port (int) of a bitmap, else None
skb               those of mark, mask, prio, queue that elements carry, else None
protocol          ipset's netlink protocol, 0 for an nftables set
create            messages that make table and set, () when not managed; nftables' belong into a batch
flush             the message that empties the set
destroy           messages that delete the set
replace           a managed set of another type has the name: it is to be deleted before the set can be made
rule              the command that makes a rule which uses the set; '' where no action fills it
note              what was assumed about the kernel, for status displays; often empty
"""

from __future__ import annotations

from typing import Any

from nfa.compiler.config.model import Target

Slot = dict[str, Any]


def begun(target: Target, family: int) -> Slot:
    """What slots of both kinds start from; what the kernel holds corrects it."""
    options: dict[str, Any] = target.options
    copied = ("managed", "ttl", "size", "flush_on_create", "flush_on_destroy")
    return {
        "target": target.name,
        "kind": target.type,
        "family": family,
        "set": f"{options['set_name']}.v{family}",
        "table": "",
        "table_family": 0,
        **{option: options[option] for option in copied},
        "element_timeout": False,
        "timeouts": options["ttl"] > 0,
        "range": None,
        "skb": None,
        "protocol": 0,
        "create": (),
        "replace": False,
        "rule": "",
        "note": "",
    }


def alike(slot: Slot, first: Slot) -> bool:
    """Whether two targets want the same set but for the ttl."""
    return all(slot[key] == first[key] for key in ("fields", "type", "size", "range", "family"))


def name_of(target: Target) -> tuple[object, ...]:
    """What names the sets of an ipset or nftset target."""
    return (target.type, *map(target.options.get, ("set_name", "table_name", "table_family")))


def skb(options: dict[str, Any]) -> dict[str, Any] | None:
    """What elements carry for SET --map-set; the mask only with a mark."""
    given = {key: options[f"skb_{key}"] for key in ("mark", "prio", "queue") if options[f"skb_{key}"] is not None}
    if "mark" in given:
        given["mask"] = options["skb_mask"]
    return given or None
