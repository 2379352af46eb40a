"""What can be set, as plain values: importing this costs nothing."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelSettings:
    """How a model behaves: delays in seconds, ``rate`` in images a second per unit (0: no limit)."""

    start_seconds: float = 8.0
    stop_seconds: float = 3.0
    rate: float = 5.0
    latency: float = 0.2


@dataclass(frozen=True)
class WorldSettings:
    """The names of everything, and how the model behaves."""

    region: str
    source_bucket: str
    final_bucket: str
    queue: str
    max_receive_count: int
    project: str
    model_version: str
    more_models: int
    examples: Path
    model: ModelSettings
