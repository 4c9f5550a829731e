"""Netify's own files of sinks: what netifyd's folder says about a sink that a target names.

In: the name of a sink. Out: its kind and the sections of its file. The name is that of a section of netifyd's loader,
plugins.d/*.conf, which names the file; without one, `sink-KIND` is the sink of netify-sink-KIND.json. Source of the files'
form: Netify's schemas, github.com/netify-ai/agent-docs, v5/schemas/netify-sink-*.json.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from nfa.compiler.base.files import FileError, read_text
from nfa.compiler.base.paths import PathError, Paths
from nfa.compiler.base.report import Place, quote
from nfa.compiler.config.channel_options import CHANNEL_OPTIONS
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Properties, Section
from nfa.compiler.config.jsontext import MAX_SIZE, JsonError, Object, parse
from nfa.compiler.config.model import Text

MAX_LOADER = 1 << 16  # bytes of a file of plugins.d

_SECTION = re.compile(r"\s*\[([!-~]{1,128})\]\s*")
_SETTING = re.compile(r"\s*(plugin_library|conf_filename)\s*=\s*(.*?)\s*")
_KIND = re.compile(rf"netify-sink-({'|'.join(CHANNEL_OPTIONS)})\b")


@dataclass
class NetifySinks:
    """The sinks that netifyd's folder may tell of: name to (kind, file)."""

    files: dict[str, tuple[str, str]]

    def read(self, name: str, context: Context) -> tuple[str, Text, Properties, list[Section]] | None:
        """The kind of a sink, its place, what it says for all channels, and its channels. None when there is no file."""
        if name not in self.files:
            return None
        kind, file = self.files[name]
        if not os.path.lexists(context.paths.look(file)):
            return None
        reports = context.reports
        try:
            top = parse(read_text(file, MAX_SIZE, context.paths.folders), file, reports)
        except FileError as error:
            reports.error(
                error.code, error.place, str(error), hint=error.hint, consequence="the file is not used"
            )  # no excerpt: passwords are in there
            return None
        except JsonError as error:
            reports.error(error.code, error.place, str(error), hint=error.hint, consequence="the file is not used")
            return None
        properties: Properties = []
        channels: list[Section] = []
        if not isinstance(top.value, Object):
            reports.error(
                "bad-value", top.place, f"the file of sink {quote(name)} is not a JSON object", consequence="it is not used"
            )
            return None
        for key, value in top.value.members:
            if key.value.startswith("$"):
                continue  # the name of a schema
            if key.value != "channels":
                properties.append((key, value))
            elif isinstance(value.value, Object):
                channels += [Section(n, v.value.members) for n, v in value.value.members if isinstance(v.value, Object)]
        return kind, Text(name, Place(file, 1, 1)), properties, channels


def find(paths: Paths) -> NetifySinks:
    """The sinks of netifyd's folder."""
    folder = paths.state_persistent
    found = {f"sink-{kind}": (kind, os.path.join(folder, f"netify-sink-{kind}.json")) for kind in CHANNEL_OPTIONS}
    loaders = os.path.join(folder, "plugins.d")
    try:
        names = sorted(os.listdir(paths.look(loaders)))
    except OSError:
        names = []
    for name in names:
        if name.endswith(".conf"):
            try:
                text = read_text(paths.look(os.path.join(loaders, name)), MAX_LOADER)
            except FileError:
                continue  # it is netifyd's to tell
            found.update(_loaded(text, paths))
    return NetifySinks(found)


def _loaded(text: str, paths: Paths) -> dict[str, tuple[str, str]]:
    """The sinks that a file of netifyd's loader has sections for."""
    found: dict[str, tuple[str, str]] = {}
    section, kind = "", ""
    for line in text.split("\n"):
        if match := _SECTION.fullmatch(line):
            section, kind = match[1], ""
        elif (match := _SETTING.fullmatch(line)) and section:
            named = _KIND.search(match[2])
            kind = named[1] if named else kind
            if match[1] == "conf_filename" and kind:
                try:
                    file = paths.expand(match[2].strip("\"'"))
                except PathError:
                    continue
                if file.startswith("/"):
                    found[section] = (kind, file)
    return found
