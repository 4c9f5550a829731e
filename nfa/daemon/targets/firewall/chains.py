"""Messages about the chains of combinations in the daemon's own table: making one, writing it again, deleting it.

In: combinations, or the names of chains. Out: messages of nftables, for one transaction.
"""

from ...netlink import nftables, nftables_maps, nftables_rules
from .combinations import MAP, Combination

FAMILY, TABLE = 1, "nfa"
"""The table: NFPROTO_INET, and its name."""


def deletion(name: str) -> list[bytes]:
    """Return the messages that delete a chain, also where there is none."""
    make = nftables_rules.new_chain(FAMILY, TABLE, name)
    return [make, nftables_rules.flush_chain(FAMILY, TABLE, name), nftables_rules.delete_chain(FAMILY, TABLE, name)]


def lead(command: int, number: int, chain: str = "", last: bool = False) -> bytes:
    """Return the message that lets a number lead to a chain, or to none."""
    code = nftables_rules.NFT_GOTO if last else nftables_rules.NFT_JUMP
    return nftables_maps.leads(command, FAMILY, TABLE, MAP, number, chain, code)


def chain_messages(one: Combination, last: bool = False) -> list[bytes]:
    """Return the messages that make a combination's chain, or write it again. `last`: nothing else is to meet its packets.

    All its packets pass these rules: so there is one rule for each target, and none to come back to.
    """
    comment = ", ".join([(action + " > " if action else "") + target for action, target in one.pairs])
    made = [nftables_rules.new_chain(FAMILY, TABLE, one.chain), nftables_rules.flush_chain(FAMILY, TABLE, one.chain)]
    first = [nftables_rules.counter()]
    chains = list(one.chains or ())
    for index, name in enumerate(chains or [""]):
        code = nftables_rules.NFT_GOTO if index == len(chains) - 1 else nftables_rules.NFT_JUMP
        rule = first + ([nftables_rules.verdict(code, name)] if name else [])
        made.append(nftables_rules.new_rule(FAMILY, TABLE, one.chain, rule, comment))
        first, comment = [], ""
    made.append(lead(nftables.NEW, one.number, one.chain, last))
    return made
