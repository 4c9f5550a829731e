"""Which files are the configuration, and the policy that they make together.

In: `Sources`, what the command line chose. Out: one checked `Policy` of JSON and UCI. UCI comes before JSON where both
say something, because it is what `uci set` and the web interface change.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import cast

from nfa.compiler.base.files import FileError, Folders, list_folder
from nfa.compiler.base.paths import JSON_NAME, Paths
from nfa.compiler.base.report import Place, Reports, quote
from nfa.compiler.config import dhcp, jsonconfig, marks, offloading, uciconfig
from nfa.compiler.config.build import build
from nfa.compiler.config.convert import Context, Invalid
from nfa.compiler.config.document import Document
from nfa.compiler.config.lastgood import Keeping
from nfa.compiler.config.model import Policy
from nfa.compiler.config.options import MAIN_OPTIONS
from nfa.compiler.config.properties import convert, last_value
from nfa.daemon.base import allowed

UCI_FOLDER = "/etc/config"


@dataclass(frozen=True)
class Sources:
    """What the configuration is read from.

    `uci`: the folder of UCI's packages; None: UCI is not read. `uci_required`: the user named the folder, so the package
    must be there. `files`: JSON files, and folders of them; none: those that json_config of UCI names, else the default one.
    `salvage`: use what can be read when some of it cannot, for a daemon without a policy; its actions are held back.
    """

    uci: str | None = None
    uci_required: bool = False
    files: tuple[str, ...] = ()
    salvage: bool = False

    def confine(self, paths: Paths) -> Paths:
        """Allow what is beside the files and folders that root named. What else a configuration may name, `paths` says."""
        return paths.with_named([*self.files, *([self.uci] if self.uci else [])])


def load(sources: Sources, paths: Paths, reports: Reports, keeping: Keeping | None = None) -> Policy | None:
    """Read and check the configuration: JSON first, then UCI, which wins where both say something.

    None when there is none, or when a file cannot be read or is not of its format: the running policy then stays active.
    Where there is none (`salvage`), the policy is `incomplete`. Of anything smaller the last good version is used (`keeping`),
    or it is left out. `paths` gives the values of `${path_...}`.
    """
    if paths.unused:
        message = f"there is a policy, or address groups, in {quote(paths.state_persistent)} too"
        hint = "keep them in one of the two folders"
        reports.warning("two-folders", Place(paths.unused, 0, 0), message, hint=hint, consequence="this folder is not read")
    paths = sources.confine(paths)
    paths.look(allowed.FILE)
    report_rules(reports)
    folder = _uci_folder(sources)
    if sources.uci is not None:
        paths.look(uciconfig.file_of(sources.uci))
    package = uciconfig.read(folder, reports) if folder is not None else None
    broken = folder is not None and package is None
    if broken and not sources.salvage:
        return None
    keeping = keeping or Keeping()
    chosen, unknown = _chosen_json(sources, package, Context(paths, Reports(), {}, keeping))
    if chosen is None:
        default = paths.look(_default_json(paths))
        reports.open.add(default)
        chosen = [default] if os.path.lexists(default) else []
    folders = None if sources.files else paths.folders
    files = [file for path in chosen for file in _json_of(paths.look(path), folders, reports)]
    if not files and package is None and not broken:
        _report_nothing(sources, paths, reports)
        return None
    read = [jsonconfig.read(paths.look(file), reports, folders) for file in files] + ([package] if package else [])
    documents = [document for document in read if document is not None]
    broken = broken or len(documents) < len(read)
    if not documents or (broken and not sources.salvage):
        return None
    policy = build(documents, reports, paths, keeping)
    servers = dhcp.read(sources.uci, paths if policy.devices else None)
    policy.hosts, policy.lease_files = servers.hosts, servers.lease_files
    policy.incomplete = policy.incomplete or broken or unknown
    if sources.uci is not None:
        offloading.report(sources.uci, policy, reports, paths)
    marks.report(sources.uci, policy, reports, paths)
    return policy


def report_rules(reports: Reports) -> None:
    """Warn of what is wrong with root's file of allowed folders."""
    for problem in allowed.rules()[2]:
        reports.warning(
            "allowed-folders-unusable", Place(allowed.FILE, 0, 0), problem, consequence="it does not allow any folder that way"
        )


def read_main(sources: Sources, paths: Paths, reports: Reports) -> dict[str, object]:
    """A value for each of MAIN_OPTIONS, without reading the rest of the policy."""
    return _main(_package(sources, reports), Context(paths, reports))


def _uci_folder(sources: Sources) -> str | None:
    """The folder whose package is to be read: it is in there, or it must be."""
    if sources.uci is None or sources.uci_required or os.path.lexists(uciconfig.file_of(sources.uci)):
        return sources.uci
    return None


def _package(sources: Sources, reports: Reports) -> Document | None:
    """The package of UCI, if it is there and can be used."""
    folder = _uci_folder(sources)
    return uciconfig.read(folder, reports) if folder is not None else None


def _main(package: Document | None, context: Context) -> dict[str, object]:
    properties = package.globals if package else []
    settings = convert("configuration", properties, MAIN_OPTIONS, context, "the built-in default is used")
    given = {key: setting.value for key, setting in settings.values.items()}
    return {option.key: given.get(option.key, option.default) for option in MAIN_OPTIONS}


def _chosen_json(sources: Sources, package: Document | None, context: Context) -> tuple[list[str] | None, bool]:
    """The JSON files and folders that the command line names, or else UCI; None: neither says anything.

    Also whether what UCI says makes no sense and is unknown; it is reported when the policy is built.
    """
    if sources.files:
        return list(sources.files), False
    option = next(option for option in MAIN_OPTIONS if option.name == "json_config")
    for name, value in package.globals if package else []:
        if name.value == option.name and value.value is not None:
            try:
                return list(cast("tuple[str, ...]", option.convert(value, context))), False
            except Invalid:
                kept = last_value("configuration", option, name.place, context)
                return (None, True) if kept is None else (list(cast("tuple[str, ...]", kept)), False)
    return None, False


def _json_of(path: str, folders: Folders, reports: Reports) -> list[str]:
    """The path itself, or the files NAME.json of a folder in the order of their names, hidden ones left out."""
    try:
        names = list_folder(path, folders)
    except (OSError, FileError):
        return [path]  # a file, or what cannot be read as one either
    files = [os.path.join(path, name) for name in names if name.endswith(".json") and not name.startswith(".")]
    if not files:
        reports.warning("empty-folder", Place(path, 0, 0), "the folder contains no file whose name ends in .json")
    return files


def _default_json(paths: Paths) -> str:
    return os.path.join(paths.state_persistent, JSON_NAME)


def _report_nothing(sources: Sources, paths: Paths, reports: Reports) -> None:
    default = _default_json(paths)
    if sources.files:
        missing = f"there is no JSON file in {', '.join(sources.files)}"
    elif sources.uci is not None:
        missing = f"neither {uciconfig.file_of(sources.uci)} nor {default} exists"
    else:
        missing = f"{default} does not exist"
    reports.error(
        "no-configuration", None, f"there is no configuration: {missing}", hint="create one, or name a JSON file with -c FILE"
    )
