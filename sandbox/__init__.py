"""Processes, ports and worlds of this machine: what the demo, the bench and the system tests stand on."""
