"""Fixtures for a run's tasks and for a drain of the queue, to test the input that an attacker could control."""

from __future__ import annotations

from tests.core.conftest import make_drain, make_labeller  # noqa: F401  # fixtures
from tests.plugins.conftest import (  # noqa: F401  # fixtures
    _service_models_are_read_once,
    quick,
    run,
    set_waits,
    variables,
)
