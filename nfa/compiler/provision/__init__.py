"""What the kernel must hold for each ipset and nftset target: looked up, checked, and written as messages.

In: the targets of a configuration and, when it can be asked, the running kernel. Out: *slots*, one for each
target and address family, in plain data, with the netlink messages that make, empty and delete the set.
"""

from nfa.compiler.provision.kernel import Kernel, KernelUnavailable
from nfa.compiler.provision.provision import provision

__all__ = ["Kernel", "KernelUnavailable", "provision"]
