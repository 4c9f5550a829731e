"""Connections of conntrack: marks, labels, cuts."""
