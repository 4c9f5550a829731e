"""What the parts of the daemon share: what CPython and MicroPython do differently, messages, files."""
