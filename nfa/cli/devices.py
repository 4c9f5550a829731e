"""`nfa devices`: the devices of the configuration, and others in the local network, as the running daemon knows them."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from .ask import Unanswered, add_control_argument, control_of, pages
from .common import fail, paint, plural, shown

PRIVATE = "private address: changes with the network; switch it off on the device for this network"
_EPILOG = """\
examples:
  nfa devices
  nfa devices tablet                  only devices with this text in a name or address
  nfa devices --snippet 00:11:22      what to add to /etc/config/netify-proc-flow-actions
  nfa devices --json | jq '.[] | select(.name == "") | .macs[]'

exit codes: 0 done, 1 no daemon answers, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the devices of the configuration with all addresses that belong to them, and where each is known from: the\n"
        "configuration (config), the kernel's neighbours (neighbour; recent: gone for less than 10 minutes), a DHCP lease\n"
        "(lease) or a static one (static lease). Then show the others in the local network, which have no name yet."
    )
    parser.epilog = _EPILOG
    parser.add_argument("search", nargs="?", default="", metavar="SEARCH", help="only devices with this text")
    parser.add_argument("--snippet", action="store_true", help="print those without a name as sections of UCI")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    add_control_argument(parser)


def _print(device: dict[str, Any]) -> None:
    heading = device["name"] or (device["hosts"] or device["macs"] or ["?"])[0]
    title = f" ({shown(device['title'])})" if device["title"] else ""
    where = f" on {', '.join(map(shown, device['interfaces']))}" if device["interfaces"] else ""
    print(f"{paint(shown(heading), 'bold')}{title}{where}")
    for mac in device["macs"]:
        note = f"  {paint(PRIVATE, 'warning')}" if mac in device["private"] else ""
        print(f"  {shown(mac)}{note}")
    if device["hosts"]:
        print(f"  host name {', '.join(map(shown, device['hosts']))}")
    for address in device["addresses"]:
        print(f"  {shown(address['address'])}  {paint(', '.join(address['from']), 'dim')}")
    if device["name"] and not device["addresses"]:
        print("  no address is known")


def section(device: dict[str, Any], taken: set[str]) -> str:
    """Return a device as a section of UCI, under a name that is not in `taken` yet."""
    base = re.sub("[^0-9A-Za-z_]", "_", (device["hosts"] or [f"device_{device['macs'][0].replace(':', '')}"])[0])[:48]
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return f"config device '{name}'\n" + "".join(f"\tlist mac '{mac}'\n" for mac in device["macs"])


def run(arguments: argparse.Namespace) -> int:
    found: list[dict[str, Any]] = []
    try:
        for page in pages(control_of(arguments), "devices", "devices", {"search": arguments.search}):
            found += page["devices"]
    except Unanswered as why:
        return fail(str(why))
    named = [device for device in found if device["name"]]
    others = [device for device in found if not device["name"]]
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif arguments.snippet:
        taken = {device["name"] for device in named}
        print("\n".join(section(device, taken) for device in others), end="")
    else:
        for device in named:
            _print(device)
        if others:
            print(f"{plural(len(others), 'other device')} in the network; to name one: nfa devices --snippet SEARCH")
        for device in others:
            _print(device)
        if not found:
            print("no device is known: none is configured, and the kernel has no neighbours")
    return 0
