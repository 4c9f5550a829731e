"""What happened to one target, in numbers for status. Slots, logs and sinks of a target count in the same one."""


class Counters:
    """What happened to one target since the daemon started: numbers for `status`."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.added = 0
        self.refreshed = 0
        self.withdrawn = 0
        """Elements removed from their set, or bits from their connection, because no flow holds them any longer."""
        self.restored = 0
        """Elements restored after another program removed them."""
        self.errors = 0
        self.skipped = 0
        """Flows that lack a field of the element (no MAC address, a port outside a bitmap's range)."""
        self.last_error = ""
        self.error_time = 0
