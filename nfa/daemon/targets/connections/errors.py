"""What an administrator can do about an error that conntrack answers with.

In: the error number, and what was wanted: `ctmark`, `ctlabel` or `cut`. Out: words, "" where there is nothing to do.
"""

import errno

from ...base.portable import EAFNOSUPPORT, EBUSY, EPROTONOSUPPORT

NO_SUBSYSTEM = (errno.EINVAL, EPROTONOSUPPORT, EAFNOSUPPORT)
"""What nfnetlink, or `socket`, answers where a part of the kernel is missing (6.18: EINVAL for an unknown subsystem)."""


def advice(error: int, kind: str) -> str:
    """Return what an administrator can do about an error that every connection meets."""
    if error in (errno.EPERM, errno.EACCES):
        return "the daemon needs root, or the capability CAP_NET_ADMIN"
    if error == EBUSY:
        return (
            "each is tried again while its flow lives, at least once a minute, and is cut once it pauses. To cut at once,"
            " switch flow offloading off (LuCI: Network > Firewall), or use a newer kernel: 6.1 and 6.12 let go"
        )
    if error == errno.EOPNOTSUPP and kind == "ctlabel":
        return "this kernel was built without labels. OpenWrt: opkg install kmod-ipt-conntrack-label"
    if error in NO_SUBSYSTEM:
        return "is the kernel module installed? OpenWrt: opkg install kmod-nf-conntrack-netlink"
    return ""
