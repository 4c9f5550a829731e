"""Reading a section's properties by a table of options.

In: properties as they were written, and the options they may be. Out: the converted values by the options'
names; what is unknown or wrong is in the reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from nfa.config.convert import Context, Invalid
from nfa.config.document import Properties
from nfa.config.options import Options
from nfa.config.report import Place, did_you_mean, nearest, quote


@dataclass(frozen=True)
class Setting:
    """A converted value, and where its property's name stands."""

    value: object
    place: Place


@dataclass
class Settings:
    """The settings of a section by option key; `broken` holds the keys of options whose value was wrong."""

    values: dict[str, Setting]
    broken: list[str]


def convert(
    what: str, properties: Properties, options: Options, context: Context, consequence: str
) -> Settings:
    """Convert the properties of `what` ("target 'x'"); `consequence` is what a wrong value leads to.

    A property of value null counts as not given. Options may be written by their names or aliases.
    """
    reports = context.reports
    known = {name: option for option in options for name in (option.name, *option.aliases)}
    settings = Settings({}, [])
    for name, value in properties:
        option = known.get(name.value)
        if option is None and "exemptions" in known and nearest(name.value, known)[:1] in (["exemptions"], ["exemption"]):
            # A slip in this one word must not make the action act on what it is to spare.
            message = f"{what}: unknown property {quote(name.value)}"
            reports.error(name.place, message, hint="did you mean 'exemptions'?", consequence=consequence)
            settings.broken.append("exemptions")
            continue
        if option is None:
            reports.warning(
                name.place,
                f"{what}: unknown property {quote(name.value)}",
                hint=did_you_mean(name.value, known),
                consequence="the property is ignored",
            )
            continue
        if value.value is None:
            continue
        if earlier := settings.values.get(option.key):
            message = f"{what}: {quote(name.value)} is given twice, first at {earlier.place}"
            reports.warning(name.place, message, consequence="the later one is used")
        try:
            settings.values[option.key] = Setting(option.convert(value, context), name.place)
        except Invalid as error:
            settings.broken.append(option.key)
            message = f"{what}: {quote(name.value)}: {error}"
            reports.error(error.place, message, hint=error.hint, consequence=consequence)
    return settings


def complete(
    what: str, place: Place, options: Options, layers: list[Settings], context: Context, consequence: str
) -> dict[str, object] | None:
    """A value for every option: of the first of `layers` that has one, or the built-in default.

    None, with an error for each, when a required option has no value.
    """
    values: dict[str, object] = {}
    for option in options:
        setting = next((layer.values[option.key] for layer in layers if option.key in layer.values), None)
        values[option.key] = setting.value if setting else option.default
    missing = [option for option in options if option.required and values[option.key] is None]
    for option in missing:
        if not any(option.key in layer.broken for layer in layers):
            context.reports.error(place, f"{what} has no '{option.name}'", consequence=consequence)
    return None if missing else values
