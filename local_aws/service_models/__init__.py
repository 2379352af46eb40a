"""What operations AWS's services have: botocore's models, and one of ours for a service that botocore has dropped.

Amazon Lookout for Vision ended on 2025-10-31. Its file here has the four operations that the embedded AWS answers,
and is enough of a model for botocore to make a client of it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.model import ServiceModel


def botocore_session() -> botocore.session.Session:
    """A session of botocore that knows the services here too."""
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.append(str(Path(__file__).parent))
    return session


@lru_cache
def service_model(service: str) -> ServiceModel:
    """A service's model, by the name of its client; botocore's UnknownServiceError."""
    return botocore_session().get_service_model(service)


@lru_cache
def service_shapes(service: str) -> Mapping[str, Any]:
    """The shapes of a service's model as JSON: botocore's own classes leave out which errors are faults."""
    loader = botocore_session().get_component("data_loader")
    shapes: Mapping[str, Any] = loader.load_service_model(service, "service-2")["shapes"]
    return shapes
