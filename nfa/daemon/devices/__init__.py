"""Devices: sets of addresses under a name. Which device an end of a flow is, and how its addresses are learnt."""
