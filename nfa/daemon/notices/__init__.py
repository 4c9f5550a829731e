"""Tells people what happens, in sentences: events in, notices out. Loaded only where a policy has a notice."""
