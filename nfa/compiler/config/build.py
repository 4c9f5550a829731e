"""From what the files say to the policy that holds.

In: `Document`s, the one that comes first last (JSON, then UCI). Out: a checked `Policy`.

Where files say different things: an action or target of a later document replaces the one of the same name in
an earlier document as a whole. An option of a target is its own, or the default of the last document that has
one, or the built-in one. Exemptions of all documents add up, because each of them exempts something.
"""

from __future__ import annotations

from collections.abc import Iterable

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, quote
from nfa.compiler.config.actions import GLOBAL, read_actions
from nfa.compiler.config.channels import connect_targets
from nfa.compiler.config.convert import Context, Invalid, elements, texts
from nfa.compiler.config.document import Document, Section
from nfa.compiler.config.entries import expand_entries
from nfa.compiler.config.features import report_inactive
from nfa.compiler.config.model import Policy, Text
from nfa.compiler.config.options import GLOBAL_OPTIONS, MAIN_OPTIONS
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import BUILT_IN, Complete, Settings, complete, convert
from nfa.compiler.config.targets import read_targets, target_globals
from nfa.compiler.config.timeofday import named_window
from nfa.daemon.bus import SOCKETS as UBUS_SOCKETS


def build(documents: list[Document], reports: Reports, paths: Paths) -> Policy:
    """Merge and check `documents`, a later one before an earlier one; what is wrong is reported, left out."""
    context = Context(paths, reports)
    times = [item for document in documents for item in document.times_of_day]
    context = Context(paths, reports, {name.value: named_window(name, value, context) for name, value in times})
    settings = _globals(documents, context)
    exemptions = _exemptions(documents, context)
    of_types = target_globals([s for document in documents for s in document.target_globals], context)
    globals_ = {kind: found.values for kind, found in of_types.items()}
    sections, replaced_targets = _merge("target", (document.targets for document in documents), reports)
    defaults = [section for document in documents for section in document.target_defaults]
    targets = read_targets(sections, defaults, globals_, context)
    for name, target in targets.items():
        target.origins.replaces = replaced_targets.get(name, ())
    netify = connect_targets(targets, documents, context, _own_sockets(settings))
    declared = [section.name.value for section in sections]
    exempt, entries = expand_entries(exemptions.get(GLOBAL, []), paths, reports)
    named = {name: entries for name, entries in exemptions.items() if name != GLOBAL}
    sections, replaced_actions = _merge("action", (document.actions for document in documents), reports)
    if not sections:
        place = Place(documents[-1].file, 0, 0) if documents else None
        reports.warning("no-action", place, "the configuration has no actions", consequence="no flow matches")
    actions = read_actions(sections, targets, declared, named, context)
    for action in actions:
        action.origins.replaces = replaced_actions.get(action.name, ())
    policy = Policy(
        files=[document.file for document in documents],
        reprocess_flows=None if settings.values["reprocess_flows"] is None else bool(settings.values["reprocess_flows"]),
        timezone=str(settings.values["timezone"]),
        exemptions=exempt,
        actions=actions,
        targets=targets,
        target_globals=globals_,
        origins=Origins(settings.origins, {"exemptions": entries}),
        global_origins={kind: Origins(found.origins) for kind, found in of_types.items()},
        main={option.key: settings.values[option.key] for option in MAIN_OPTIONS},
        looked_at=netify.looked_at,
    )
    report_inactive(policy, reports)
    return policy


def _own_sockets(settings: Complete) -> dict[str, str]:
    """The unix sockets that are not for sinks, to what they are."""
    found = dict.fromkeys(UBUS_SOCKETS, "ubusd's socket")
    source = str(settings.values["source"])
    if source.startswith("unix://"):
        found[source.removeprefix("unix://")] = "netifyd's socket"
    return found | {str(settings.values["control"]): "nfa's control socket"}


def _globals(documents: list[Document], context: Context) -> Complete:
    """What holds for the policy or the service as a whole, a later document's before an earlier one's."""
    layers: list[Settings] = []
    for document in documents:
        options = GLOBAL_OPTIONS if document.versioned else MAIN_OPTIONS
        settings = convert("configuration", document.globals, options, context, BUILT_IN)
        layers.insert(0, settings)
        if document.versioned and "version" not in settings.values and "version" not in settings.broken:
            context.reports.warning(
                "missing-option",
                Place(document.file, 1, 1),
                "the configuration has no 'version'",
                hint='write "version": 1',
                consequence="it is read as version 1",
            )
    place = Place("", 0, 0)  # none of the options is required, so nothing can be missing
    every = tuple(dict.fromkeys((*GLOBAL_OPTIONS, *MAIN_OPTIONS)))
    return complete("configuration", place, every, layers, context, "") or Complete({}, {})


def _exemptions(documents: list[Document], context: Context) -> dict[str, list[Text]]:
    """The lists of exemptions by name, those of one name added up."""
    found: dict[str, list[Text]] = {}
    for document in documents:
        for name, value in document.exemptions:
            entries = found.setdefault(name.value, [])
            for element in elements(value):
                try:
                    entries += texts(element, context)
                except Invalid as error:
                    message = f"'exemptions': {error}"
                    context.reports.error(error.code, error.place, message, consequence="this exemption does not apply")
    return found


def _merge(
    what: str, documents: Iterable[list[Section]], reports: Reports
) -> tuple[list[Section], dict[str, tuple[Place, ...]]]:
    """The sections of all documents, where a later one replaces an earlier one of its name.

    Also the places of those that were replaced, by name, the latest first.
    """
    merged: dict[str, Section] = {}
    replaced: dict[str, tuple[Place, ...]] = {}
    for sections in documents:
        for section in sections:
            if earlier := merged.pop(section.name.value, None):
                replaced[section.name.value] = (earlier.name.place, *replaced.get(section.name.value, ()))
                reports.warning(
                    "defined-twice",
                    section.name.place,
                    f"{what} {quote(section.name.value)} is also defined at {earlier.name.place}",
                    consequence="this definition is used",
                )
            merged[section.name.value] = section
    return list(merged.values()), replaced
