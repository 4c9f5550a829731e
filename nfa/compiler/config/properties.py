"""Reading a section's properties by a table of options.

In: properties as they were written, and the options they may be. Out: the converted values by the options'
names, with their origins; what is unknown or wrong is in the reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nfa.compiler.base.report import Place, did_you_mean, nearest, quote
from nfa.compiler.base.secrets import SECRET_OPTIONS
from nfa.compiler.config.convert import Context, Invalid
from nfa.compiler.config.document import Properties, Section, is_slip
from nfa.compiler.config.options import Option, Options
from nfa.compiler.config.origins import Origin
from nfa.compiler.config.spelling import built_in

BUILT_IN = "the built-in default is used"
"""The consequence of a wrong value where defaults hold."""

# Options that keep an action or target from flows, or switch it off.
_RESTRICTIONS = ("halt_on_match", "time_of_day", "interface", "enabled", "target_enabled", "budget", "exempt_time")
# What nft, ipset and sections of the firewall call some properties.
_ELSEWHERE = {"timeout": "ttl", "maxelem": "size", "family": "set_family", "table": "table_name"}


@dataclass(frozen=True)
class Setting:
    """A converted value, where its property's name stands, and the value as it was written, as plain data."""

    value: object
    place: Place
    written: object


@dataclass
class Settings:
    """The settings of a section by option key; `broken` holds the keys of options whose value was wrong."""

    values: dict[str, Setting]
    broken: list[str]
    unknown: list[str] = field(default_factory=list)
    """Names of properties that are no options."""


@dataclass
class Complete:
    """A value for every option by its key, and the origins of those that are not built in."""

    values: dict[str, object]
    origins: dict[str, Origin]


def convert(what: str, properties: Properties, options: Options, context: Context, consequence: str) -> Settings:
    """Convert the properties of `what` ("target 'x'"); `consequence` is what a wrong value leads to.

    A property of value null counts as not given. Options may be written by their names or aliases.
    """
    reports = context.reports
    known = {name: option for option in options for name in (option.name, *option.aliases)}
    secret = any(option.name in SECRET_OPTIONS for option in options)
    settings = Settings({}, [])
    for name, value in properties:
        option = known.get(name.value)
        meant = _restriction(name.value, known) if option is None else None
        if meant is not None:
            message = f"{what}: unknown property {quote(name.value)}"
            hint = f"did you mean {quote(meant.name)}?"
            reports.error("unknown-option", name.place, message, hint=hint, consequence=_instead(meant, consequence))
            settings.broken.append(meant.key)
            continue
        if option is None:
            settings.unknown.append(name.value)
            if secret:
                reports.hide(name.place)  # its name may be misspelt
            reports.warning(
                "unknown-option",
                name.place,
                f"{what}: unknown property {quote(name.value)}",
                hint=did_you_mean(_ELSEWHERE.get(name.value, name.value), known),
                consequence="the property is ignored",
            )
            continue
        if value.value is None:
            continue
        if earlier := settings.values.get(option.key):
            message = f"{what}: {quote(name.value)} is given twice, first at {earlier.place}"
            reports.warning("given-twice", name.place, message, consequence="the later one is used")
        try:
            settings.values[option.key] = Setting(option.convert(value, context), name.place, value.plain())
            if consequence == BUILT_IN:
                context.keeping.good.options[what, name.place.file, option.key] = settings.values[option.key].value
        except Invalid as error:
            settings.broken.append(option.key)
            instead = _instead(option, consequence)
            if consequence == BUILT_IN and _keep(what, option, settings, name.place, context):
                instead = "its last good value stays in use"
            for fault in (error, *error.more):
                hidden = option.name in SECRET_OPTIONS or fault.secret
                if hidden:
                    reports.hide(fault.place)
                message = f"{what}: {quote(name.value)}: {fault.bare if hidden else fault}"
                reports.error(fault.code, fault.place, message, hint=fault.hint, consequence=instead)
    return settings


def _restriction(slip: str, known: dict[str, Option]) -> Option | None:
    """The option that an unknown property is meant to be, if without it a section would act on more than it should."""
    if "exemptions" in known and nearest(slip, known)[:1] in (["exemptions"], ["exemption"]):
        return known["exemptions"]
    near = [name for name in _RESTRICTIONS if name in known and is_slip(slip, (name,), known.keys() - {name})]
    return known[near[0]] if near else None


def last_good(what: str, section: Section, options: Options, context: Context) -> Settings:
    """The last good settings of a section that is none, after saying so."""
    settings = Settings({}, [])
    kept = [option for option in options if _keep(what, option, settings, section.name.place, context)]
    consequence = "its last good values stay in use" if kept else "the built-in defaults are used"
    context.reports.error("bad-value", section.broken, f"{what} is not an object", consequence=consequence)
    return settings


def _keep(what: str, option: Option, settings: Settings, place: Place, context: Context) -> bool:
    """Use the last good value of a setting. Returns False when there is none."""
    value = last_value(what, option, place, context)
    if value is None:
        return False
    settings.values[option.key] = Setting(value, place, None)
    context.keeping.good.options[what, place.file, option.key] = value
    context.keeping.kept[what, option.name] = None
    return True


def last_value(what: str, option: Option, place: Place, context: Context) -> object:
    """The last good value of a setting in the file of `place`; None when there is none."""
    return context.keeping.last.options.get((what, place.file, option.key))


def is_off(name: str, section: Section, options: Options, context: Context) -> bool:
    """Whether a section is switched off by its option `name`, whatever else is wrong with it."""
    option = next(option for option in options if option.name == name)
    for key, value in section.properties:
        if key.value in (option.name, *option.aliases) and value.value is not None:
            try:
                if not option.convert(value, context):
                    return True
            except Invalid:
                pass
    return False


def _near(slip: str, option: Option) -> str:
    """The name of an option that an unknown property is like; "" when it is like none."""
    return next(iter(nearest(slip, (option.name, *option.aliases))), "")


def _instead(option: Option, consequence: str) -> str:
    """What a wrong value leads to; where that is the default, with the default."""
    if consequence != BUILT_IN or (option.default in (None, (), "") and option.name != "timezone"):
        return consequence
    if option.name == "timezone":
        return "the system's time zone is used"
    return f"{consequence}: {built_in(option)}"


def complete(
    what: str,
    place: Place,
    options: Options,
    layers: Sequence[Settings],
    context: Context,
    consequence: str,
    defaults: Sequence[Settings] = (),
) -> Complete | None:
    """A value for every option: of the first of `layers` that has one, then of `defaults`, or the built-in one.

    None, with an error for each, when a required option has no value.
    """
    found = Complete({}, {})
    for option in options:
        own = [layer.values[option.key] for layer in layers if option.key in layer.values]
        inherited = [layer.values[option.key] for layer in defaults if option.key in layer.values]
        found.values[option.key] = next((setting.value for setting in (*own, *inherited)), option.default)
        origins = [Origin(setting.place, setting.written) for setting in own]
        origins += [Origin(setting.place, setting.written, inherited=True) for setting in inherited]
        if origins:
            found.origins[option.key] = replace(origins[0], over=tuple(origins[1:]))
    missing = [option for option in options if option.required and found.values[option.key] is None]
    for option in missing:
        if not any(option.key in layer.broken for layer in (*layers, *defaults)):
            slip = next((slip for layer in layers for slip in layer.unknown if _near(slip, option)), "")
            hint = f"you wrote {quote(slip)}: did you mean {quote(_near(slip, option))}?" if slip else ""
            context.reports.error("missing-option", place, f"{what} has no '{option.name}'", hint=hint, consequence=consequence)
    return None if missing else found
