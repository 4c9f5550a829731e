"""Every property of the configuration, in one table: name, aliases, converter, default, explanation.

In: nothing. Out: the tables that the checks of JSON and UCI, the defaults and the documentation are made
from.
"""

from __future__ import annotations

from dataclasses import dataclass

from nfa.compiler.config import kinds, servers, service
from nfa.compiler.config.convert import UINT32, Converter, boolean, choice, integer, mark, path, text, texts
from nfa.compiler.config.timeofday import timezone, windows
from nfa.daemon.engine.flows import MAX_FLOWS
from nfa.daemon.stream.client import DEFAULT_SOURCE

MAX_TTL = 2147483  # seconds; ipset's limit, (UINT_MAX / 2) / 1000
DEFAULT_PRIORITY = 100
CONNLABEL_CONF = ("/etc/xtables/connlabel.conf", "/etc/connlabel.conf")  # of iptables and conntrack; of nft
DEFAULT_PF_DEVICE = "/dev/pf"
DEFAULT_CONTROL = "/var/run/nfa/control.sock"


@dataclass(frozen=True)
class Option:
    """A property. `default` is the converted value that holds when the user gives none.

    `stored` is the name in `Target.options` where that is not the property's.
    """

    name: str
    convert: Converter
    default: object
    doc: str
    aliases: tuple[str, ...] = ()
    required: bool = False
    stored: str = ""

    @property
    def key(self) -> str:
        return self.stored or self.name


Options = tuple[Option, ...]

_REPROCESS_FLOWS = Option("reprocess_flows", boolean, False, "Match the flows that are already known again after a reload.")
_TIMEZONE = Option("timezone", timezone, "", "The time zone of time_of_day; the system's when missing.")
_MAX_FLOWS = Option(
    "max_flows", integer(1024, 1 << 20), MAX_FLOWS, "How many live flows are remembered; the oldest are forgotten first."
)

GLOBAL_OPTIONS: Options = (
    Option("version", integer(1, 1), 1, "The version of the format, always 1."),
    _REPROCESS_FLOWS,
    _TIMEZONE,
    _MAX_FLOWS,
)

# The section nfa 'main' of UCI, which has the place of JSON's globals.
MAIN_OPTIONS: Options = (
    Option("enabled", boolean, True, "Whether the service starts."),
    Option("source", service.source, DEFAULT_SOURCE, "netifyd's socket: unix://PATH or tcp://ADDRESS:PORT."),
    Option(
        "json_config",
        service.json_config,
        None,
        "JSON files, or folders of them, that are read too; none; else netifyd's own, if it is there.",
    ),
    _REPROCESS_FLOWS,
    _TIMEZONE,
    _MAX_FLOWS,
    Option("log_level", service.log_level, "notice", "What the log is told: error, warning, notice or debug."),
    Option("control", service.control, DEFAULT_CONTROL, "The control socket, an absolute path."),
)

ACTION_OPTIONS: Options = (
    Option("enabled", boolean, True, "Whether the action is applied."),
    Option("criteria", texts, None, "Flow expressions, or files of them; any one matches.", required=True),
    Option("targets", texts, None, "Names of the targets that matching flows reach.", ("target",), required=True),
    Option("exemptions", texts, (), "Flow expressions or addresses that never match.", ("exemption",)),
    Option("interface", kinds.interface, "*", "A device, or the role lan or wan; * is every interface."),
    Option("halt_on_match", boolean, False, "Whether a match ends the search: later actions are not tried."),
    Option(
        "priority",
        integer(0, (1 << 31) - 1),
        DEFAULT_PRIORITY,
        "Actions are tried from the lowest to the highest; equal ones in the order of the file.",
    ),
    Option("time_of_day", windows, (), "When the action is applied: one window of time or a list of them."),
)

COMMON_OPTIONS: Options = (
    Option("target_enabled", boolean, True, "Whether the target is used."),
    Option("interface", kinds.interface, "*", "Only flows of this device or role (lan, wan) reach the target."),
    Option("cut", boolean, False, "Delete the conntrack entry of a flow that begins to match, after all other effects."),
)

_FAMILY = Option("set_family", kinds.families, (4, 6), "The address family: ipv4, ipv6 or * for both.", stored="families")
_TTL = Option(
    "ttl", integer(0, MAX_TTL, "seconds"), 60, "Seconds an element lives after netifyd last told of its traffic; 0: no end."
)
_ADDRESS_TYPE = Option("address_type", choice("other", "local"), "other", "Which of the flow's addresses.")
_MANAGED = Option("managed", boolean, False, "Create what the target fills when it does not exist.")
_SIZE = Option("size", integer(1, UINT32), 65536, "How many elements a set can hold.", ("max_elements",))
_FLUSH_ON_CREATE = Option("flush_on_create", boolean, False, "Empty the set at the start, if it is managed.")
_FLUSH_ON_DESTROY = Option("flush_on_destroy", boolean, False, "Empty the set at the end, managed or not.")

TARGET_OPTIONS: dict[str, Options] = {
    "ipset": (
        Option("set_name", kinds.ipset_name, None, "The set; '.v4' and '.v6' are appended.", required=True),
        Option("type", kinds.ipset_type, "hash:ip", f"One of {', '.join(kinds.IPSET_TYPES)}."),
        _ADDRESS_TYPE,
        _FAMILY,
        _TTL,
        _MANAGED,
        _SIZE,
        _FLUSH_ON_CREATE,
        _FLUSH_ON_DESTROY,
        Option("skb_mark", mark, None, "A firewall mark for matching packets, hexadecimal."),
        Option("skb_mask", mark, UINT32, "The bits of skb_mark that count, hexadecimal."),
        Option("skb_prio", kinds.tc_handle, None, "A class of tc for matching packets, MAJOR:MINOR."),
        Option("skb_queue", integer(0, 65535), None, "A hardware queue for matching packets."),
        Option("range", kinds.bitmap_range, None, "What a bitmap set covers: a network, or first-last."),
    ),
    "nftset": (
        Option("set_name", kinds.nft_set_name, None, "The set; '.v4' and '.v6' are appended.", required=True),
        Option("table_name", kinds.nft_table_name, "nfa", "The table of the set."),
        Option(
            "table_family",
            choice("inet", "ip", "ip6", "arp", "bridge", "netdev"),
            "inet",
            "The family of the table.",
        ),
        _FAMILY,
        _TTL,
        Option(
            "type",
            kinds.nftset_type,
            ("local_addr", "ip_proto", "other_port", "other_addr"),
            f"The fields of an element, in the order that rules use them: {', '.join(kinds.NFTSET_FIELDS)}.",
        ),
        _MANAGED,
        _SIZE,
        _FLUSH_ON_CREATE,
        _FLUSH_ON_DESTROY,
    ),
    "ctlabel": (
        Option("labels", kinds.labels, (), "Label names of connlabel.conf, or bits.", ("label",)),
        Option("auto_label", boolean, False, "Label by the names a-APPLICATION and p-PROTOCOL."),
        Option("log_errors", boolean, False, "Log flows that could not be labelled."),
    ),
    "ctmark": (
        Option("mark", mark, None, "The conntrack mark, 32 bits in hexadecimal.", required=True),
        Option("mask", mark, UINT32, "The bits of the mark that are written, hexadecimal."),
        Option("shift", integer(0, 31), 0, "How many bits the mark is shifted to the left first."),
    ),
    "pftable": (
        Option("table_name", kinds.pf_table_name, None, "The table of PF.", required=True),
        Option("anchor_name", kinds.pf_anchor, "*", "The anchor of the table; *: none, the main ruleset.", ("anchor",)),
        _ADDRESS_TYPE,
        _TTL,
        _MANAGED,
    ),
    "log": (
        Option("prefix", kinds.file_part, "netify-flow-actions", "The first part of the file's name."),
        Option("path", path, "/tmp", "The folder of the files."),
        Option("suffix", kinds.file_part, ".json", "The last part of the file's name."),
        Option("interval", integer(1, MAX_TTL, "seconds"), 60, "Seconds that one file covers."),
    ),
    "sink": (
        Option("sink", kinds.name, None, "The name of the sink, a section of netifyd's loader.", required=True),
        Option("channel", kinds.name, "flow-actions", "The channel of the sink."),
        Option("format", choice("json", "msgpack"), "json", "The format of the records."),
        Option("compressor", choice("none", "gz"), "none", "How the records are compressed."),
        Option("flow_events", kinds.flow_events, ("new", "updated", "expired"), "Which events are sent."),
        Option("header", boolean, False, "Whether the length precedes each JSON record."),
    ),
}

TARGET_GLOBALS: dict[str, Options] = {
    "ctlabel": (
        Option("max_bits", integer(1, 128), 127, "How many labels the system has."),
        Option("connlabel_conf", path, None, f"The file that names the labels; {' and '.join(CONNLABEL_CONF)} when missing."),
    ),
    "pftable": (Option("device", path, DEFAULT_PF_DEVICE, "The control device of PF.", ("pftable",)),),
}

_ENABLE = Option("enable", boolean, True, "Whether events go through the channel.", ("enabled",))
_CA_FILE = Option("ca_file", path, "", "The certificate of the authority to trust; those of the system when missing.")
_CONNECT = Option("timeout_connect", integer(1, 3600, "seconds"), 30, "Seconds that connecting may take.")
_line = text("a text of one line", r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,1024}")

# What a channel says; a sink says the same for all its channels. Names of Netify's netify-sink-*.json are aliases.
CHANNEL_OPTIONS: dict[str, Options] = {
    "log": (
        _ENABLE,
        Option("path", path, "/tmp", "The folder of the files.", ("log_path",)),
        Option("prefix", kinds.file_part, "netify-flow-actions-", "The first part of the file's name.", ("log_name",)),
        Option("overwrite", boolean, False, "Whether a file takes the place of the one before."),
        Option("interval", integer(1, MAX_TTL, "seconds"), 60, "Seconds that one file covers."),
    ),
    "socket": (
        _ENABLE,
        Option("listen", servers.listen, None, "Where readers connect, or datagrams go.", ("bind_address",), required=True),
        Option("default_port", integer(1, 65535), None, "The port where `listen` has none."),
        Option("mode", servers.mode, 0o600, "The rights of a unix socket, octal."),
    ),
    "ubus": (
        _ENABLE,
        Option("event", text("a name of an event", "[A-Za-z0-9._-]{1,128}"), "nfa.flow", "The events' name.", ("path",)),
        Option("function", _line, "", "A method in Netify's file; events have none."),
    ),
    "http": (
        _ENABLE,
        Option("url", servers.url, None, "Where events are posted.", required=True),
        Option("headers", servers.headers, (), "Headers of each request.", ("header",)),
        Option("batch", integer(1, 1000), 100, "Events in one request; 1: each alone, not in a list."),
        Option("interval", integer(1, 3600, "seconds"), 1, "Seconds that an event waits for others."),
        _CONNECT,
        Option("timeout_transfer", integer(1, 3600, "seconds"), 300, "Seconds that an answer may take."),
        _CA_FILE,
    ),
    "mqtt": (
        _ENABLE,
        Option("broker", servers.broker, None, "The broker.", ("host",), required=True),
        Option("port", integer(1, 65535), None, "The broker's port where `broker` has none."),
        Option("topic", text("a topic without + and #", "[^+#\\x00-\\x1f]{1,1024}"), "netify/${channel}", "The topic."),
        Option("qos", integer(0, 2), 1, "The quality of service; 2 is read as 1.", ("message_qos",)),
        Option("retain", boolean, False, "Whether the broker keeps the last event.", ("message_retain",)),
        Option("username", _line, "", "The name to log in with.", ("user",)),
        Option("password", _line, "", "The password to log in with.", ("pass",)),
        Option("client_id", text("a name of at most 64 letters and digits, '-' or '_'", "[A-Za-z0-9_-]{0,64}"), "",
               "The name of this client; one made by chance when missing."),
        _CONNECT,
        _CA_FILE,
    ),
}  # fmt: skip
