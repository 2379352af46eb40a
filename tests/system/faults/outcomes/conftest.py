"""An embedded AWS without Airflow, consumers for it, and the audit at the end of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.outcomes.audit import Audit, Uploads, audit
from tests.system.faults.outcomes.crew import Crew
from tests.system.faults.outcomes.place import ImageAws, serve
from tests.system.faults.outcomes.results import ImageRow, add

MakeCrew = Callable[..., tuple[Uploads, Crew]]
Conclude = Callable[[str, Uploads, Crew], Audit]


@pytest.fixture(scope="session")
def _image_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageAws]:
    with serve(tmp_path_factory.mktemp("images")) as aws:
        yield aws


@pytest.fixture
def image_aws(_image_aws: ImageAws) -> Iterator[ImageAws]:
    """The server with its initial oddities, without faults before and after the test."""
    for page in ("faults", "oddities"):
        _image_aws.control(page, "DELETE")
    yield _image_aws
    _image_aws.control("faults", "DELETE")


@pytest.fixture
def make_crew(image_aws: ImageAws, tmp_path: Path) -> Iterator[MakeCrew]:
    """Makes consumers with their own buckets and queue. All of them are gone after the test."""
    crews = []

    def make(*, max_receive_count: int | None = None, **options: Any) -> tuple[Uploads, Crew]:
        place = image_aws.make_place(max_receive_count)
        crew = Crew(place, image_aws.environment, tmp_path, **options)
        crews.append(crew)
        return Uploads(place), crew

    yield make
    for crew in crews:
        crew.kill_all()


@pytest.fixture
def conclude(image_aws: ImageAws) -> Conclude:
    """Ends a test: finishes the work without faults, audits it, and adds a row to the table."""

    def conclude(fault: str, uploads: Uploads, crew: Crew) -> Audit:
        image_aws.control("faults", "DELETE")
        crew.finish()
        found = audit(uploads.place, uploads.versions)
        add(ImageRow.of(fault, crew.done, found))
        assert not found.problems, found.problems
        return found

    return conclude
