"""A name that one attribute never has, and another one does: `app == 'zoom'`, where Zoom is a protocol.

In: a name as it was written. Out: how to write the condition that was meant.
"""

from __future__ import annotations

from ..catalogue import Catalogue
from .attributes import COMPACT

_SHORT = {attribute: prefix for prefix, attribute in COMPACT.items()}
_WORDS = {
    "application": "an application",
    "protocol": "a protocol",
    "application_category": "a category of applications",
    "protocol_category": "a category of protocols",
}


def spelled(catalogue: Catalogue, text: str, attribute: str, compact: bool = False) -> str:
    """Return a hint: what a name is, and how that is written, `compact` or not; "" if no other attribute has it.

    `text`: lower case; `attribute`: the one that it was compared with.
    """
    word = text.removeprefix("netify.")
    found: dict[str, str] = {}
    if catalogue.application(text) is not None:
        found["application"] = text
    if word in catalogue.protocols:
        found["protocol"] = word
    if word in catalogue.application_categories:
        found["application_category"] = word
    if word in catalogue.protocol_categories:
        found["protocol_category"] = word
    found.pop("application_category" if attribute in ("category", "domain_category", "overlay_category") else attribute, "")
    hints = []
    for name, value in found.items():
        written = f"{_SHORT[name]}:{value}" if compact else f"{name.removeprefix('application_')} == '{value}'"
        hints.append(f"{_WORDS[name]}: {written}")
    return f"it is {', and '.join(hints)}" if hints else ""


def part_of(catalogue: Catalogue, text: str) -> str:
    """Return a hint that names the protocol that has a name as a part (`skype` of `skype/teams`); "" for none."""
    word = text.removeprefix("netify.")
    parts = sorted((name for name in catalogue.protocols if word in name.split("/")), key=len)
    return f"a protocol has it in its name: protocol == '{parts[0]}'" if parts else ""
