"""A run's tasks and a drain of the queue, for what an attacker could put into them."""

from __future__ import annotations

from tests.core.conftest import make_drain, make_labeller  # noqa: F401  # fixtures
from tests.plugins.conftest import (  # noqa: F401  # fixtures
    _service_models_are_read_once,
    quick,
    run,
    set_waits,
    variables,
)
