"""From what the files say to the policy that holds.

In: `Document`s, the one that comes first last (JSON, then UCI). Out: a checked `Policy`.

Where files say different things: an action or target of a later document replaces the one of the same name in
an earlier document as a whole. An option of a target is its own, or the default of the last document that has
one, or the built-in one. Exemptions of all documents add up, because each of them exempts something.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, quote
from nfa.compiler.config.actions import read_actions
from nfa.compiler.config.budgets import read_budgets, report_unused
from nfa.compiler.config.channels import connect_targets
from nfa.compiler.config.convert import Context, Invalid, elements, texts
from nfa.compiler.config.devices import read_devices, read_groups
from nfa.compiler.config.document import GLOBAL, Document, Section
from nfa.compiler.config.entries import expand_entries
from nfa.compiler.config.features import report_inactive, target_is_active
from nfa.compiler.config.lastgood import Keeping
from nfa.compiler.config.model import Notice, Policy, Text
from nfa.compiler.config.options import GLOBAL_OPTIONS, MAIN_OPTIONS
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import BUILT_IN, Complete, Settings, complete, convert
from nfa.compiler.config.targets import read_targets, target_globals
from nfa.compiler.config.timeofday import named_window
from nfa.daemon.bus import SOCKETS as UBUS_SOCKETS


def build(documents: list[Document], reports: Reports, paths: Paths, keeping: Keeping | None = None) -> Policy:
    """Merge and check `documents`, a later one before an earlier one; what is wrong is reported.

    Of a target that has an error its last good version is used, if `keeping` has one; the other sections are
    `nfa.compiler.compile`'s to decide, because errors in their expressions are found there.
    """
    keeping = keeping or Keeping()
    context = Context(paths, reports, {}, keeping)
    times = [item for document in documents for item in document.times_of_day]
    context = replace(context, times_of_day={name.value: named_window(name, value, context) for name, value in times})
    settings = _globals(documents, context)
    exemptions, broken = _exemptions(documents, context)
    of_types = target_globals(_of_types("target_globals", documents, keeping), context)
    globals_ = {kind: found.values for kind, found in of_types.items()}
    sections, replaced_targets = _merge("target", (document.targets for document in documents), reports)
    sections += _lost("targets", sections, documents, keeping.last.targets)
    defaults = _of_types("target_defaults", documents, keeping)
    targets = read_targets(sections, defaults, globals_, context)
    for name, target in targets.items():
        target.origins.replaces = replaced_targets.get(name, ())
    finder = connect_targets(targets, documents, context, _own_sockets(settings))
    declared = [section.name.value for section in sections]
    before = len(reports.errors)
    exempt, entries = expand_entries(exemptions.get(GLOBAL, []), paths, reports)
    readable = GLOBAL not in broken and len(reports.errors) == before
    named = {name: None if name in broken else entries for name, entries in exemptions.items() if name != GLOBAL}
    sections, replaced_actions = _merge("action", (document.actions for document in documents), reports)
    sections += _lost("actions", sections, documents, keeping.last.actions)
    if not sections and not any(document.notices for document in documents):
        place = Place(documents[-1].file, 0, 0) if documents else None
        reports.warning("no-action", place, "the configuration has no actions", consequence="no flow matches")
    budget_sections, replaced_budgets = _merge("budget", (document.budgets for document in documents), reports)
    budgets = read_budgets(budget_sections + _lost("budgets", budget_sections, documents, keeping.last.budgets), context)
    for name, budget in budgets.items():
        budget.origins.replaces = replaced_budgets.get(name, ())
    actions = read_actions(sections, targets, declared, named, budgets, context)
    report_unused(budgets.values(), actions, context)
    for action in actions:
        action.origins.replaces = replaced_actions.get(action.name, ())
    sections, replaced_devices = _merge("device", (document.devices for document in documents), reports)
    devices = read_devices(sections + _lost("devices", sections, documents, keeping.last.devices), context)
    sections, replaced_groups = _merge("group", (document.groups for document in documents), reports)
    sections += _lost("groups", sections, documents, keeping.last.device_groups)
    device_groups = read_groups(sections, devices, context)
    for name, device in devices.items():
        device.origins.replaces = replaced_devices.get(name, ())
    for name, group in device_groups.items():
        group.origins.replaces = replaced_groups.get(name, ())
    sections, replaced_notices = _merge("notice", (document.notices for document in documents), reports)
    sections += _lost("notices", sections, documents, keeping.last.notices)
    blocking = {name for name, target in targets.items() if target.type == "firewall" and target.options["verdict"]}
    blocks = {action.name: not blocking.isdisjoint(action.targets) for action in actions}
    notices: dict[str, Notice] = {}
    if sections:
        from nfa.compiler.config.notices import Reader  # most policies have none, and the router little memory

        limited = any(action.budget for action in actions)
        notices = Reader(context, finder, blocks, devices, device_groups, limited).read(sections)
    for name, notice in notices.items():
        notice.origins.replaces = replaced_notices.get(name, ())
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
        devices=devices,
        device_groups=device_groups,
        notices=notices,
        budgets=budgets,
        exemptions_broken=not readable,
        incomplete=not keeping.last.actions and any("actions" in document.lost for document in documents),
    )
    report_inactive(policy, reports)
    keeping.good.targets.update((name, target) for name, target in targets.items() if target_is_active(target))
    return policy


def _lost(key: str, sections: list[Section], documents: list[Document], last: Iterable[str]) -> list[Section]:
    """The sections that were there before, where a file has something else instead of all of them: each of them is broken."""
    there = {section.name.value for section in sections}
    place = next((document.lost[key] for document in documents if key in document.lost), None)
    return [Section(Text(name, place), [], place) for name in last if name not in there] if place else []


def _of_types(key: str, documents: list[Document], keeping: Keeping) -> list[Section]:
    """The sections `target_defaults` or `target_globals` of all documents."""
    sections: list[Section] = []
    for document in documents:
        own: list[Section] = getattr(document, key)
        kinds = dict.fromkeys(what for what, file, _ in keeping.last.options if file == document.file)
        before = [what.removeprefix(f"{key} of ") for what in kinds if what.startswith(f"{key} of ")]
        sections += own + _lost(key, own, [document], before)
    return sections


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


def _exemptions(documents: list[Document], context: Context) -> tuple[dict[str, list[Text]], set[str]]:
    """The lists of exemptions by name, those of one name added up; and the names of those that have an error."""
    found: dict[str, list[Text]] = {}
    broken: set[str] = set()
    for document in documents:
        broken |= document.broken_exemptions
        for name, value in document.exemptions:
            entries = found.setdefault(name.value, [])
            for element in elements(value):
                try:
                    entries += texts(element, context)
                except Invalid as error:
                    broken.add(name.value)
                    message = f"'exemptions': {error}"
                    context.reports.error(error.code, error.place, message, consequence="this exemption does not apply")
    return found, broken


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
