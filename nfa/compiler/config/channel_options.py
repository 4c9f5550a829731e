"""The options of the channels of sinks, in the same form as all others.

In: nothing. Out: the table for each kind of channel.
"""

from __future__ import annotations

from nfa.compiler.config import kinds, servers
from nfa.compiler.config.convert import boolean, folder_to_write, integer, path, text
from nfa.compiler.config.options import MAX_TTL, MOST_BYTES, MOST_FILES, Option, Options

# Whether events go through the channel.
_ENABLE = Option("enable", boolean, True, ("enabled",))
# The certificate of the authority to trust; those of the system when missing.
_CA_FILE = Option("ca_file", path, "")
# Seconds that connecting may take.
_CONNECT = Option("timeout_connect", integer(1, 3600, "seconds"), 30)
_line = text("a single line of text", r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,1024}")

# What a channel says; a sink says the same for all its channels. Names of Netify's netify-sink-*.json are aliases.
CHANNEL_OPTIONS: dict[str, Options] = {
    "log": (
        _ENABLE,
        # The folder of the files.
        Option("path", folder_to_write, "/tmp", ("log_path",)),
        # The first part of the file's name.
        Option("prefix", kinds.file_part, "netify-flow-actions-", ("log_name",)),
        # Whether a file takes the place of the one before.
        Option("overwrite", boolean, False),
        # Seconds that one file covers.
        Option("interval", integer(1, MAX_TTL, "seconds"), 60),
        MOST_FILES,
        MOST_BYTES,
    ),
    "socket": (
        _ENABLE,
        # Where readers connect, or datagrams go.
        Option("listen", servers.listen, None, ("bind_address",), required=True),
        # The port where `listen` has none.
        Option("default_port", integer(1, 65535), None),
        # The rights of a unix socket, octal.
        Option("mode", servers.mode, 0o600),
    ),
    "ubus": (
        _ENABLE,
        # The events' name.
        Option("event", text("an event name", "[A-Za-z0-9._-]{1,128}"), "nfa.flow", ("path",)),
        # A method in Netify's file; events have none.
        Option("function", _line, ""),
    ),
    "http": (
        _ENABLE,
        # Where events are posted.
        Option("url", servers.url, None, required=True),
        # Headers of each request.
        Option("headers", servers.headers, (), ("header",)),
        # Events in one request; 1: each alone, not in a list.
        Option("batch", integer(1, 1000), 100),
        # Seconds that an event waits for others.
        Option("interval", integer(1, 3600, "seconds"), 1),
        _CONNECT,
        # Seconds that an answer may take.
        Option("timeout_transfer", integer(1, 3600, "seconds"), 300),
        _CA_FILE,
    ),
    "mqtt": (
        _ENABLE,
        # The broker.
        Option("broker", servers.broker, None, ("host",), required=True),
        # The broker's port where `broker` has none.
        Option("port", integer(1, 65535), None),
        # The topic.
        Option("topic", text("a topic without + and #", "[^+#\\x00-\\x1f]{1,1024}"), "netify/${channel}"),
        # The quality of service; 2 is read as 1.
        Option("qos", integer(0, 2), 1, ("message_qos",)),
        # Whether the broker keeps the last event.
        Option("retain", boolean, False, ("message_retain",)),
        # The name to log in with.
        Option("username", _line, "", ("user",)),
        # The password to log in with.
        Option("password", _line, "", ("pass",)),
        # The name of this client; a random one when missing.
        Option("client_id", text("a name of at most 64 letters and digits, '-' or '_'", "[A-Za-z0-9_-]{0,64}"), ""),
        _CONNECT,
        _CA_FILE,
    ),
}  # fmt: skip
