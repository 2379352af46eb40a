"""Models of AWS's services: botocore's, and one of this package for a service that botocore has removed.

Amazon Lookout for Vision ended on 2025-10-31. The model here has the four operations that the embedded AWS answers.
botocore can build a client from it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.model import ServiceModel


def botocore_session() -> botocore.session.Session:
    """A botocore session that also finds the service models of this package."""
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.append(str(Path(__file__).parent))
    return session


@lru_cache
def service_model(service: str) -> ServiceModel:
    """A service's model, by the name of its boto3 client. Raises botocore's UnknownServiceError."""
    return botocore_session().get_service_model(service)


@lru_cache
def service_shapes(service: str) -> Mapping[str, Any]:
    """The shapes of a service's model as JSON. botocore's classes do not tell which errors are faults."""
    loader = botocore_session().get_component("data_loader")
    shapes: Mapping[str, Any] = loader.load_service_model(service, "service-2")["shapes"]
    return shapes
