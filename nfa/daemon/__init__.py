"""The daemon: resident, from netifyd's records to effects. It imports nothing of the compiler."""
