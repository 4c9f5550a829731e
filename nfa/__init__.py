"""nfa: flow actions. What deep packet inspection knows of a connection becomes firewall sets, marks and labels."""

__version__ = "0.1.0"
