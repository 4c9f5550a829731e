"""The fields of a flow record that a person needs to know the flow again.

In: a record. Out: a small dictionary, in netifyd's names.
"""

MYPY = False
if MYPY:
    from typing import Any

MAX_BRIEF_TEXT = 256
BRIEF = (
    "interface", "internal", "digest", "ip_version", "ip_protocol", "local_ip", "local_mac", "local_port", "local_origin",
    "other_ip", "other_port", "detected_protocol_name", "detected_application_name", "host_server_name", "dns_host_name",
)  # fmt: skip
"""The fields of a record that `matches` shows: netifyd's names, the first two of the envelope."""


def brief(record: "dict[str, Any]") -> dict[str, object]:
    """Return the fields of a flow record that a person needs to know the flow again, long texts cut."""
    flow = record["flow"]
    found: dict[str, object] = {}
    for name in BRIEF:
        value = record.get(name) if name in ("interface", "internal") else flow.get(name)
        if isinstance(value, str):
            found[name] = value[:MAX_BRIEF_TEXT]
        elif isinstance(value, int):
            found[name] = value
    return found
