"""Clients that give up soon: for calls that are made beside a run, or are repeated by who makes them."""

from __future__ import annotations

from botocore.config import Config


def brief_config() -> Config:
    """Two sends, half a minute at the worst."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=10, tcp_keepalive=True
    )
