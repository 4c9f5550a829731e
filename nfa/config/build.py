"""From what the files say to the policy that holds.

In: `Document`s, the one that comes first last (JSON, then UCI). Out: a checked `Policy`.

Where files say different things: an action or target of a later document replaces the one of the same name in
an earlier document as a whole. An option of a target is its own, or the default of the last document that has
one, or the built-in one. Exemptions of all documents add up, because each of them spares somebody.
"""

from __future__ import annotations

from collections.abc import Iterable

from nfa.config.actions import read_actions
from nfa.config.convert import Context, Invalid, elements, texts
from nfa.config.document import Document, Section
from nfa.config.entries import expand_entries
from nfa.config.features import report_inactive
from nfa.config.model import Policy, Text
from nfa.config.options import GLOBAL_OPTIONS
from nfa.config.paths import Paths
from nfa.config.properties import Settings, convert
from nfa.config.report import Place, Reports, quote
from nfa.config.targets import read_targets, target_globals

_GLOBAL = "global"


def build(documents: list[Document], reports: Reports, paths: Paths) -> Policy:
    """Merge and check `documents`, a later one before an earlier one; what is wrong is reported, left out."""
    context = Context(paths, reports)
    settings = _globals(documents, context)
    exemptions = _exemptions(documents, context)
    of_types = target_globals([s for document in documents for s in document.target_globals], context)
    sections = _merge("target", (document.targets for document in documents), reports)
    defaults = [section for document in documents for section in document.target_defaults]
    targets = read_targets(sections, defaults, of_types, context)
    declared = [section.name.value for section in sections]
    named = {name: entries for name, entries in exemptions.items() if name != _GLOBAL}
    actions = _merge("action", (document.actions for document in documents), reports)
    if not actions:
        place = Place(documents[-1].file, 0, 0) if documents else None
        reports.warning(place, "the configuration has no action", consequence="no flow is matched")
    values = {option.key: option.default for option in GLOBAL_OPTIONS}
    values.update({key: setting.value for key, setting in settings.values.items()})
    policy = Policy(
        files=[document.file for document in documents],
        reprocess_flows=bool(values["reprocess_flows"]),
        timezone=str(values["timezone"]),
        exemptions=expand_entries(exemptions.get(_GLOBAL, []), paths, reports),
        actions=read_actions(actions, targets, declared, named, context),
        targets=targets,
        target_globals=of_types,
    )
    reprocess = settings.values.get("reprocess_flows")
    report_inactive(policy, reprocess.place if reprocess else None, reports)
    return policy


def _globals(documents: list[Document], context: Context) -> Settings:
    """version, reprocess_flows and timezone, a later document's before an earlier one's."""
    merged = Settings({}, [])
    for document in documents:
        settings = convert(
            "configuration", document.globals, GLOBAL_OPTIONS, context, "the built-in default is used"
        )
        merged.values.update(settings.values)
        if document.versioned and "version" not in settings.values and "version" not in settings.broken:
            context.reports.warning(
                Place(document.file, 1, 1),
                "the configuration has no 'version'",
                hint='write "version": 1',
                consequence="it is read as version 1",
            )
    return merged


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
                    context.reports.error(error.place, message, consequence="this exemption does not hold")
    return found


def _merge(what: str, documents: Iterable[list[Section]], reports: Reports) -> list[Section]:
    """The sections of all documents, where a later one replaces an earlier one of its name."""
    merged: dict[str, Section] = {}
    for sections in documents:
        for section in sections:
            if earlier := merged.pop(section.name.value, None):
                reports.warning(
                    section.name.place,
                    f"{what} {quote(section.name.value)} is also defined at {earlier.name.place}",
                    consequence="the definition here is used",
                )
            merged[section.name.value] = section
    return list(merged.values())
