"""From the targets of type pftable to slots: the table, and the command that fills it.

In: the targets of a configuration. Out: slots, plain data for the daemon as those of `provision.provision`, with the same keys
where they mean something for a table of PF; and `command`, how pfctl is called but for what it is to do. A table holds
addresses of both IP versions, so one slot serves both. Where there is no PF there are no slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nfa.compiler.config.features import pfctl
from nfa.compiler.config.model import Target
from nfa.compiler.config.options import DEFAULT_PF_DEVICE
from nfa.compiler.provision.slots import Slot


def provision(targets: Iterable[Target], globals_: dict[str, object]) -> list[Slot]:
    """A slot for each enabled pftable target, in the order of the targets. `globals_`: the target_globals of pftable."""
    program = pfctl()
    return [_slot(target, program, str(globals_["device"])) for target in targets if target.type == "pftable" and program]


def _slot(target: Target, program: str, device: str) -> Slot:
    options: dict[str, Any] = target.options
    table, anchor = options["table_name"], "" if options["anchor_name"] == "*" else options["anchor_name"]
    command = [program, "-q"]
    if device != DEFAULT_PF_DEVICE:
        command += ["-p", device]
    if anchor:
        command += ["-a", anchor]
    return {
        "target": target.name,
        "kind": "pftable",
        "family": 0,
        "set": table,
        "table": anchor,
        "table_family": 0,
        "type": options["address_type"],
        "fields": ("address",),
        "ttl": options["ttl"],
        "timeouts": options["ttl"] > 0,
        "managed": options["managed"],
        "flush_on_destroy": False,
        "command": [*command, "-t", table, "-T"],
    }
