"""Every property of the configuration, in one table: name, aliases, converter, default.

In: nothing. Out: the tables that the checks of JSON and UCI, the defaults and the documentation are made
from.
"""

from __future__ import annotations

from dataclasses import dataclass

from nfa.compiler.config import amounts, effects, kinds, service
from nfa.compiler.config.convert import (
    UINT32,
    Converter,
    boolean,
    choice,
    folder_to_write,
    integer,
    mark,
    path,
    text,
    texts,
)
from nfa.compiler.config.timeofday import timezone, windows
from nfa.daemon.engine.flows import MAX_FLOWS
from nfa.daemon.stream.source import DEFAULT_SOURCE

MAX_TTL = 2147483  # seconds; ipset's limit, (UINT_MAX / 2) / 1000
DEFAULT_PRIORITY = 100
MAX_FILES = 1000
MAX_FILE_BYTES = 4 << 20  # of all files of a log together: a folder in RAM holds that
CONNLABEL_CONF = ("/etc/xtables/connlabel.conf", "/etc/connlabel.conf")  # of iptables and conntrack; of nft
DEFAULT_PF_DEVICE = "/dev/pf"
LANGUAGES = ("en", "de", "es", "zh")
DEFAULT_CONTROL = "/var/run/nfa/control.sock"


@dataclass(frozen=True)
class Option:
    """A property. `default` is the converted value that holds when the user gives none.

    `stored` is the name in `Target.options` where that is not the property's.
    """

    name: str
    convert: Converter
    default: object
    aliases: tuple[str, ...] = ()
    required: bool = False
    stored: str = ""

    @property
    def key(self) -> str:
        return self.stored or self.name


Options = tuple[Option, ...]

# Whether what begins with a reload reaches the flows that are already known; None: as far as their records are kept.
_REPROCESS_FLOWS = Option("reprocess_flows", boolean, None)
# The time zone of time_of_day; the system's when missing.
_TIMEZONE = Option("timezone", timezone, "")
# How many live flows are remembered; the oldest are forgotten first.
_MAX_FLOWS = Option("max_flows", integer(1024, 1 << 20), MAX_FLOWS)

# Have connections that began before nfa begin again when it starts.
_ADOPT = Option("adopt", boolean, False)

# Whether what devices and applications use is counted.
_USAGE = Option("usage", boolean, True)
# The file in which that is kept over restarts; in memory, beside the control socket, when missing.
_USAGE_FILE = Option("usage_file", service.usage_file, "")

# The language of notices: en, de, es or zh.
_LANGUAGE = Option("language", choice(*LANGUAGES), "en")

GLOBAL_OPTIONS: Options = (
    # The version of the format, always 1.
    Option("version", integer(1, 1), 1),
    _REPROCESS_FLOWS,
    _TIMEZONE,
    _MAX_FLOWS,
    _ADOPT,
    _USAGE,
    _USAGE_FILE,
    _LANGUAGE,
)

# The section nfa 'main' of UCI, which has the place of JSON's globals.
MAIN_OPTIONS: Options = (
    # Whether the service starts.
    Option("enabled", boolean, True),
    # netifyd's socket: unix://PATH or tcp://ADDRESS:PORT.
    Option("source", service.source, DEFAULT_SOURCE),
    # JSON files, or folders of them, that are read too; none; else netifyd's own, if it is there.
    Option("json_config", service.json_config, None),
    _REPROCESS_FLOWS,
    _TIMEZONE,
    _MAX_FLOWS,
    _ADOPT,
    _USAGE,
    _USAGE_FILE,
    _LANGUAGE,
    # What is logged: error, warning, notice or debug.
    Option("log_level", service.log_level, "notice"),
    # The control socket, an absolute path.
    Option("control", service.control, DEFAULT_CONTROL),
)

ACTION_OPTIONS: Options = (
    # Whether the action is applied.
    Option("enabled", boolean, True),
    # Flow expressions, or files of them; any one matches.
    Option("criteria", texts, None, required=True),
    # Names of the targets that matching flows reach.
    Option("targets", texts, None, ("target",), required=True),
    # Flow expressions or addresses that never match.
    Option("exemptions", texts, (), ("exemption",)),
    # A network interface, or the role lan or wan; * is every interface.
    Option("interface", kinds.interface, "*"),
    # Whether a match ends the search: later actions are not tried.
    Option("halt_on_match", boolean, False),
    # Actions are tried from the lowest to the highest; equal ones in the order of the file.
    Option("priority", integer(0, (1 << 31) - 1), DEFAULT_PRIORITY),
    # When the action is applied: one window of time or a list of them.
    Option("time_of_day", windows, ()),
    # The budget that must be spent before the action acts.
    Option("budget", kinds.name, ""),
)

BUDGET_OPTIONS: Options = (
    # Active minutes in each period, such as 1h30m.
    Option("time", amounts.duration, None),
    # Bytes in each period, down and up together, such as 2GB.
    Option("bytes", amounts.size, None, stored="size"),
    # How long a period is.
    Option("period", choice("day", "week"), "day"),
    # When a day begins, or a week: a time, for a week a weekday and perhaps a time.
    Option("start", amounts.start, None),
    # Other amounts on days of the week, such as 'sat,sun 2h'.
    Option("day", amounts.days, (), ("days",), stored="days"),
    # Whether all devices have the budget together; else each has it for itself.
    Option("shared", boolean, False),
    # When nothing is counted and the actions do nothing: one window of time or a list of them.
    Option("exempt_time", windows, ()),
)

DEVICE_OPTIONS: Options = (
    # The MAC addresses of its network cards.
    Option("mac", kinds.macs, (), ("macs",), stored="macs"),
    # Addresses and networks that it always has.
    Option("ip", kinds.networks, (), ("ips",), stored="networks"),
    # Host names that DHCP leases have for it.
    Option("name", kinds.host_names, (), ("names",), stored="names"),
    # What people call it.
    Option("title", kinds.title, ""),
)

GROUP_OPTIONS: Options = (
    # Names of devices, and of other groups.
    Option("device", texts, None, ("devices",), required=True, stored="devices"),
    # What people call it.
    Option("title", kinds.title, ""),
)

NOTICE_OPTIONS: Options = (
    # Whether the notice is sent.
    Option("enabled", boolean, True),
    # What a person wants to know: new_device, new_application, weak_tls, blocked, budget, agent, trouble.
    Option("event", kinds.events, None, ("events",), required=True, stored="events"),
    # Where it goes without a sink: log, ubus. When there is no sink either, log.
    Option("to", kinds.places, ()),
    # The name of the sink that it goes through.
    Option("sink", kinds.name, None),
    # The channel of the sink.
    Option("channel", kinds.name, "notices"),
    # The form in which the sink gets it.
    Option("format", choice("json", "text", "ntfy", "telegram", "home_assistant"), "json"),
    # The token of Telegram's bot.
    Option("token", text("the token of a bot, such as '110201543:AAHdqT'", "[0-9]{1,20}:[A-Za-z0-9_-]{1,128}"), ""),
    # The chat that Telegram's bot writes to: a number, or the name of a channel with its '@'.
    Option("chat", text("the number of a chat, or '@' and the name of a channel", "-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64}"), ""),
    # The lowest version of TLS that is not told.
    Option("tls_below", choice("1.0", "1.1", "1.2"), "1.2"),
    # Of what is blocked: only by these actions.
    Option("action", texts, (), ("actions",), stored="actions"),
    # Only of these devices and groups of devices.
    Option("device", texts, (), ("devices",), stored="devices"),
    # How many are sent in an hour at most.
    Option("limit", integer(1, 1000), 10),
)

COMMON_OPTIONS: Options = (
    # Whether the target is used.
    Option("target_enabled", boolean, True),
    # Only flows of this interface or role (lan, wan) reach the target.
    Option("interface", kinds.interface, "*"),
    # Delete the conntrack entry of a flow that begins to match, after all other effects.
    Option("cut", boolean, False),
)

# The address family: ipv4, ipv6 or * for both.
_FAMILY = Option("set_family", kinds.families, (4, 6), stored="families")
# The timeout: seconds an element stays after netifyd last reported its traffic; 0: no timeout.
_TTL = Option("ttl", integer(0, MAX_TTL, "seconds"), 60)
# Which of the flow's addresses.
_ADDRESS_TYPE = Option("address_type", choice("other", "local"), "other")
# Create what the target fills when it does not exist.
_MANAGED = Option("managed", boolean, False)
# How many elements a set can hold.
_SIZE = Option("size", integer(1, UINT32), 65536, ("max_elements",))
# How many files there may be; the oldest are deleted; 0: any number.
MOST_FILES = Option("max_files", integer(0, UINT32), MAX_FILES)
# How many bytes all files together may have; the oldest are deleted; 0: any number.
MOST_BYTES = Option("max_bytes", integer(0, UINT32), MAX_FILE_BYTES)
# Empty the set at the start, if it is managed.
_FLUSH_ON_CREATE = Option("flush_on_create", boolean, False)
# Empty the set at the end, managed or not.
_FLUSH_ON_DESTROY = Option("flush_on_destroy", boolean, False)

TARGET_OPTIONS: dict[str, Options] = {
    "ipset": (
        # The set; '.v4' and '.v6' are appended.
        Option("set_name", kinds.ipset_name, None, required=True),
        Option("type", kinds.ipset_type, "hash:ip"),
        _ADDRESS_TYPE,
        _FAMILY,
        _TTL,
        _MANAGED,
        _SIZE,
        _FLUSH_ON_CREATE,
        _FLUSH_ON_DESTROY,
        # A firewall mark for matching packets, hexadecimal.
        Option("skb_mark", mark, None),
        # The bits of skb_mark that count, hexadecimal.
        Option("skb_mask", mark, UINT32),
        # A tc class for matching packets, MAJOR:MINOR.
        Option("skb_prio", kinds.tc_handle, None),
        # A hardware queue for matching packets.
        Option("skb_queue", integer(0, 65535), None),
        # What a bitmap set covers: a network, or first-last.
        Option("range", kinds.bitmap_range, None),
    ),
    "nftset": (
        # The set; '.v4' and '.v6' are appended.
        Option("set_name", kinds.nft_set_name, None, required=True),
        # The table of the set.
        Option("table_name", kinds.nft_table_name, "nfa"),
        # The family of the table.
        Option("table_family", choice("inet", "ip", "ip6", "arp", "bridge", "netdev"), "inet"),
        _FAMILY,
        _TTL,
        Option("type", kinds.nftset_type, ("local_addr", "ip_proto", "other_port", "other_addr")),
        _MANAGED,
        _SIZE,
        _FLUSH_ON_CREATE,
        _FLUSH_ON_DESTROY,
    ),
    "ctlabel": (
        # Label names of connlabel.conf, or bits.
        Option("labels", kinds.labels, (), ("label",)),
        # Label by the names a-APPLICATION and p-PROTOCOL.
        Option("auto_label", boolean, False),
        # Log flows that could not be labelled.
        Option("log_errors", boolean, False),
    ),
    "ctmark": (
        # The conntrack mark, 32 bits in hexadecimal.
        Option("mark", mark, None, required=True),
        # The bits of the mark that are written, hexadecimal.
        Option("mask", mark, UINT32),
        # How many bits the mark is shifted to the left first.
        Option("shift", integer(0, 31), 0),
    ),
    "pftable": (
        # The table of PF.
        Option("table_name", kinds.pf_table_name, None, required=True),
        # The anchor of the table; *: none, the main ruleset.
        Option("anchor_name", kinds.pf_anchor, "*", ("anchor",)),
        _ADDRESS_TYPE,
        _TTL,
        _MANAGED,
    ),
    "log": (
        # The first part of the file's name.
        Option("prefix", kinds.file_part, "netify-flow-actions"),
        # The folder of the files.
        Option("path", folder_to_write, "/tmp"),
        # The last part of the file's name.
        Option("suffix", kinds.file_part, ".json"),
        # Seconds that one file covers.
        Option("interval", integer(1, MAX_TTL, "seconds"), 60),
        MOST_FILES,
        MOST_BYTES,
    ),
    "firewall": (
        # What becomes of the packets: reject tells the sender, drop does not.
        Option("verdict", choice("reject", "drop"), None),
        # The DSCP class that the packets get, in both directions: a name such as EF, or a number.
        Option("set_dscp", effects.dscp, None),
        # A mark for packets and connections, VALUE/MASK: only the bits of the mask are written.
        Option("set_mark", effects.masked_mark, None),
        # How much may pass in each direction, such as 2mbit; more is dropped.
        Option("limit", effects.rate, None),
        # How much a local device may send; instead of limit.
        Option("limit_up", effects.rate, None),
        # How much may go to a local device; instead of limit.
        Option("limit_down", effects.rate, None),
        # Whether each local address has the limit for itself; else all share it.
        Option("per_device", boolean, False),
        # The bits of the conntrack mark that hold the DSCP class, MASK/STATE as in tc's action ctinfo.
        Option("ctinfo", effects.ctinfo, "63/128"),
        # What is decided on: the connection, all connections to the same port of that server, or all of the device.
        Option("scope", choice("connection", "server", "device"), "connection"),
        # Which packets: those that are forwarded, or those from and to the router itself.
        Option("hook", choice("forward", "router"), "forward"),
        # Seconds that a decision holds after netifyd last reported traffic.
        Option("ttl", integer(1, MAX_TTL, "seconds"), 300),
        # Another WAN for new connections to the servers of flows that matched: a network of /etc/config/network, or a device.
        Option("route", effects.network, None),
        # The mark of what goes through that WAN, VALUE/MASK; found by nfa if it is missing.
        Option("route_mark", effects.masked_mark, None),
        # The device of that WAN, where /etc/config/network does not tell.
        Option("route_device", effects.device, None),
        # Whether the usual way is taken while the other WAN is down.
        Option("fallback", boolean, True),
    ),
    "sink": (
        # The name of the sink, a section of netifyd's loader.
        Option("sink", kinds.name, None, required=True),
        # The channel of the sink.
        Option("channel", kinds.name, "flow-actions"),
        # The format of the records.
        Option("format", choice("json", "msgpack"), "json"),
        # How the records are compressed.
        Option("compressor", choice("none", "gz"), "none"),
        # Which events are sent.
        Option("flow_events", kinds.flow_events, ("new", "updated", "expired")),
        # Whether the length precedes each JSON record.
        Option("header", boolean, False),
    ),
}

TARGET_GLOBALS: dict[str, Options] = {
    "ctlabel": (
        # How many labels the system has.
        Option("max_bits", integer(1, 128), 127),
        Option("connlabel_conf", path, None),
    ),
    # The control device of PF.
    "pftable": (Option("device", path, DEFAULT_PF_DEVICE, ("pftable",)),),
}
