"""Sets of nftables and ipset: their state, their elements, their healing."""
