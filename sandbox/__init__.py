"""Processes, ports and worlds on this machine, for the demo, the bench and the system tests.

A world is an embedded AWS and an Airflow, as separate processes.
"""
