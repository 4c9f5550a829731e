"""What status tells of parts of the daemon that are not loaded, since no policy needs them: everything has a value."""

NO_DEVICES = {"configured": 0, "neighbours": 0, "leases": 0, "changes": 0, "dropped": 0, "trouble": "", "code": ""}
"""What `devices` is as long as nobody learns their addresses."""
NO_USAGE = {
    "on": False, "since": None, "devices": 0, "unknown_bytes": 0, "unknown_packets": 0, "forgotten": 0, "left_out": 0,
    "file": "", "saved": None, "trouble": "", "code": "",
}  # fmt: skip
"""What `usage` is where nobody counts."""
NO_NOTICES = {
    "on": False, "learning": 0, "devices": 0, "no_room": 0, "file": "", "saved": None, "trouble": "", "code": "", "notices": {},
}  # fmt: skip
"""What `notices` is where the policy has none."""
NO_BUDGETS = {
    "names": [], "accounts": 0, "forgotten": 0, "trusted": False, "file": "", "saved": None, "trouble": "", "code": "",
}  # fmt: skip
"""What `budgets` is where no action that is applied has one."""
