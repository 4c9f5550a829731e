"""The bus: calls to the daemon, its answers and its events. Here is what the compiler has to know of it, too."""

SOCKETS = "/var/run/ubus/ubus.sock", "/var/run/ubus.sock"
"""Where ubusd listens: since OpenWrt 22.03, and before."""
