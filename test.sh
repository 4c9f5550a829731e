#!/bin/sh

# shellcheck shell=dash

[ "$1" = nfa ] || exit 0

nfa --version | grep -F "$2" || exit 1

# The shipped configuration, as it is and with everything in it enabled.
nfa check || exit 1
folder=$(mktemp -d) || exit 1
sed "s/enabled '0'/enabled '1'/" /etc/config/netify-proc-flow-actions >"$folder/netify-proc-flow-actions"
nfa check -u "$folder"
result=$?
rm -r "$folder"
exit "$result"
