"""Usage: what devices and applications have of the network, by hour and by day. Loaded only where a policy has it on."""
