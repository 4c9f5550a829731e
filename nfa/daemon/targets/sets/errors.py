"""What the kernel's refusals mean for a set, and the words for them.

In: error numbers of nftables and ipset, and the slot they are about. Out: which kind of trouble it is, and what an
administrator can do about it.
"""

import errno

from ...base.portable import EAFNOSUPPORT, EBUSY, ENFILE, ENOSPC, EPROTONOSUPPORT
from ...netlink import ipset
from ...netlink.socket import describe
from .slot import Slot
from .words import named

MYPY = False
if MYPY:
    pass

IS_FULL = "is full"
NO_MEMORY = "takes no more: the kernel has no memory for it"
IS_MISSING = "does not exist"
IN_THE_WAY = "has another type and is in use"
CODE_FULL, CODE_MISSING, CODE_OTHER_TYPE = "set-full", "set-missing", "set-other-type"
CODE_REFUSED, CODE_PERMISSION = "kernel-refused", "no-permission"
IN_USE = (EBUSY, ipset.IPSET_ERR_BUSY)
"""A set cannot be deleted: rules use it, or other sets."""
FULL_ERRORS = (ENFILE, ENOSPC, errno.ENOMEM, ipset.IPSET_ERR_HASH_FULL)
OF_ANOTHER_TYPE = (
    errno.EINVAL,
    errno.EOPNOTSUPP,
    EAFNOSUPPORT,
    ipset.IPSET_ERR_PROTOCOL,
    ipset.IPSET_ERR_INVALID_FAMILY,
    ipset.IPSET_ERR_TIMEOUT,
)
"""What the kernel says of an element that fits into the set as it was made: the set that is there is another one."""
REFUSED = (
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    EPROTONOSUPPORT,
    errno.EOPNOTSUPP,
    EAFNOSUPPORT,
)
"""The kernel, or this process, cannot do such things at all."""
NO_PART = (EPROTONOSUPPORT, errno.EOPNOTSUPP, EAFNOSUPPORT, ipset.IPSET_ERR_FIND_TYPE)
"""A part of the kernel is missing: netfilter's netlink, nftables, a family of tables, a type of sets."""
HOPELESS = REFUSED + (errno.ENOENT, ipset.IPSET_ERR_PROTOCOL, ipset.IPSET_ERR_TIMEOUT, ipset.IPSET_ERR_SKBINFO)
"""Errors that every element of a set meets: there is no use in trying the next one."""
_MODULES = {3: "kmod-nft-arp", 5: "kmod-nft-netdev", 7: "kmod-nft-bridge"}
"""Families of tables (enum nfproto) that OpenWrt has modules for."""


def code_of(error: int) -> str:
    """Return the code of the trouble that an error number means."""
    if error in FULL_ERRORS:
        return CODE_FULL
    if error == errno.ENOENT:
        return CODE_MISSING
    return CODE_PERMISSION if error in (errno.EPERM, errno.EACCES) else CODE_REFUSED


def label(slot: Slot) -> str:
    """Return how the set of a slot is called in a message."""
    return named(slot.data)


def of_an_element(error: int) -> str:
    """Return in words why the kernel does not take one element."""
    if error == errno.EEXIST:
        return "an element overlaps a range that the set has already"  # a single key that is there is no error
    return describe(error)


def words_of(error: int) -> str:
    """Return in words what the kernel says of a set."""
    if error == errno.ENOMEM:
        return NO_MEMORY
    return {CODE_FULL: IS_FULL, CODE_MISSING: IS_MISSING}.get(code_of(error)) or describe(error)


def advice(error: int, slot: Slot) -> str:
    """Return what an administrator can do about an error."""
    nft = slot.data["kind"] == "nftset"
    if error in IN_USE:
        return "nfa check shows what uses it; once nothing does, the set is replaced"
    if error in (errno.EPERM, errno.EACCES):
        return "the daemon needs root, or the capability CAP_NET_ADMIN"
    if error == errno.ENOENT:
        if not slot.data["managed"]:
            return "create it, or set managed to true; elements are added again as soon as it exists"
        return "another program deletes it while the daemon creates it; the daemon tries again every 5 seconds"
    if error in OF_ANOTHER_TYPE and slot.state.made:
        return "the set does not have the target's type, or was created without timeouts: nfa check says what to do"
    if error in NO_PART:
        module = _MODULES.get(slot.data["table_family"], "kmod-nft-core") if nft else "kmod-ipt-ipset"
        return "is the kernel module installed? OpenWrt: opkg install " + module
    if error == errno.EINVAL:
        # nfnetlink says so of ipset as a whole; nftables, of what a set is to be.
        if not nft:
            return "is the kernel module installed? OpenWrt: opkg install kmod-ipt-ipset"
        return (
            "this kernel does not take such a set or element: nfa check says what is there; try fewer fields, or an inet table"
        )
    if error == errno.ENOMEM:
        return "the router is short of memory: lower size, or shorten ttl"
    if error in FULL_ERRORS:
        return "new elements are refused until old ones expire; raise size, or shorten ttl"
    if error in (errno.EEXIST, ipset.IPSET_ERR_TYPE_MISMATCH):
        return "a set of that name exists with other properties: delete it after the rules that use it, or choose another name"
    return ""
