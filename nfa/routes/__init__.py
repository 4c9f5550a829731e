"""Rules and routes for other WANs, on systems where nothing else makes them: a child of the daemon, in a package of its own.

It needs pyroute2, which the resident daemon never loads: see docs/decisions/0003-no-pyroute2-on-the-router.md.
"""
