"""The JSON documents in the final bucket: for labelled images, rejected images, and messages without an image.

Their contract is `label_document.schema.json` beside this file. `python -m label_detection_core.labelling.documents`
prints it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, GetPydanticSchema, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from label_detection_core import __version__
from label_detection_core.labelling import labels
from label_detection_core.labelling.labels import Detection, Error, ModelInfo, RunInfo
from label_detection_core.queue.messages import ImageRef, Message
from label_detection_core.stored import Lenient, Maybe, Number, Part, Schema, Stored, now

SCHEMA: Final = "label-detection/1"
SCHEMA_FILE = Path(__file__).with_name("label_document.schema.json")


#: For objects from a service's answer: they may have further fields.
_OPEN = ConfigDict(json_schema_extra={"additionalProperties": True})


def _says(**more: Any) -> Any:
    """Add constraints to the JSON Schema of a field. Readers do not check them."""
    return Field(json_schema_extra=more)


_Bucket = Annotated[str, _says(minLength=3)]
_Key = Annotated[str, _says(minLength=1, maxLength=1024)]
_Text = Annotated[str, _says(minLength=1)]
_Percent = Annotated[Number, _says(minimum=0, maximum=100)]


class Source(Part):
    """The version of the source object that was labelled or rejected."""

    bucket: _Bucket = Field(description="the source bucket")
    key: _Key = Field(description="key in the source bucket")
    etag: str | None = Field(description="ETag of the version that was labelled or rejected")
    version_id: str | None = Field(description="version id; null: the bucket has no versions")
    size: Annotated[int | None, _says(description="bytes", minimum=0)]


class Image(Part):
    """The copy in the final bucket."""

    bucket: _Bucket = Field(description="the final bucket")
    key: _Key = Field(description="key in the final bucket")


class Model(Part):
    """The model that was asked."""

    arn: Annotated[str, _says(description="ARN of the model", pattern="^arn:")]
    min_confidence: Annotated[
        float | None,
        _says(
            description="labels with a lower confidence were left out, 0-100; null: the model's own thresholds",
            minimum=0,
            maximum=100,
        ),
    ]


class Run(Part):
    """The task that wrote the document."""

    dag_id: _Text = Field(description="id of the DAG")
    run_id: _Text = Field(description="id of the DAG run")
    map_index: Annotated[int, _says(description="number of the analysis task in its run, from 0", minimum=0)]
    labelled_at: Annotated[str, _says(description="when the document was written, UTC", format="date-time")]


class Failure(Part):
    """Why there are no labels: an error code of a service or of this package, and a message."""

    code: _Text = Field(description="error code of the service, or of this package")
    message: str = Field(description="the error message")


class Anomaly(Part):
    """Whether the image shows an anomaly, and the confidence of that answer. Only from models that detect anomalies."""

    model_config = ConfigDict(validate_by_name=True)

    is_anomalous: bool = Field(alias="IsAnomalous", strict=True, description="whether the image shows an anomaly")
    confidence: _Percent = Field(alias="Confidence", description="the model's confidence in that answer, 0-100")


class Box(Part):
    """Ratios of the image's width and height."""

    model_config = _OPEN

    left: Number = Field(alias="Left", description="left edge")
    top: Number = Field(alias="Top", description="upper edge")
    width: Number = Field(alias="Width", description="width")
    height: Number = Field(alias="Height", description="height")


class Geometry(Part):
    """The place of a label in the image; absent for a label of the whole image."""

    model_config = _OPEN

    box: Maybe[Box] = Field(
        default=None, alias="BoundingBox", description="bounding box: ratios of width and height of the image, 0-1"
    )


class Label(Part):
    """A label with all fields of the service's answer."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True, "required": ["Name", "Confidence"]})

    name: _Text = Field(alias="Name", description="name of the label")
    confidence: Lenient[_Percent] = Field(default=0.0, alias="Confidence", description="0-100")
    geometry: Maybe[Geometry] = Field(default=None, alias="Geometry")


def _schema_of_a_label(_: Any, make: GetJsonSchemaHandler) -> JsonSchemaValue:
    return make(Label.__pydantic_core_schema__)


#: A label from a service's answer, stored unchanged.
AsAnswered = Annotated[dict[str, Any], GetPydanticSchema(get_pydantic_json_schema=_schema_of_a_label)]


class LabelDocument(Stored):
    """The document of a labelled image."""

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": False,
            "required": ["schema", "source", "image", "model", "labels", "run"],
        }
    )

    schema_: Literal["label-detection/1"] = Field(alias="schema", description="form of this document")
    version: Maybe[str] = Field(default=None, description="version of this package that wrote the document")
    source: Maybe[Source] = None  # like image and model: always written, but optional for readers
    image: Maybe[Image] = None
    model: Maybe[Model] = None
    labels: list[AsAnswered] = Field(description="the labels that the service answered")
    anomaly: Maybe[Anomaly] = None
    run: Maybe[Run] = None

    @classmethod
    def of(cls, image: ImageRef, final: ImageRef, found: Detection, model: ModelInfo, run: RunInfo) -> Self:
        """Make the document of an image that the model has labelled."""
        return cls(
            schema=SCHEMA,
            version=__version__,
            source=Source(**vars(image)),
            image=Image(bucket=final.bucket, key=final.key),
            model=Model(**vars(model)),
            labels=found.labels,
            anomaly=Anomaly(**vars(found.anomaly)) if found.anomaly else None,
            run=Run(**vars(run), labelled_at=now()),
        )

    def is_of(self, model: ModelInfo) -> bool:
        """Whether the document is from this model, with this minimum confidence."""
        asked = self.model
        return asked is not None and (asked.arn, asked.min_confidence) == (model.arn, model.min_confidence)

    @property
    def detection(self) -> Detection:
        """The labels and the anomaly of the document."""
        found = self.anomaly
        return Detection(self.labels, labels.Anomaly(found.is_anomalous, found.confidence) if found else None)


class RejectedImage(Stored):
    """The document of a rejected image, which has no labels."""

    schema_: Literal["label-detection/1"] = Field(alias="schema", description="form of this document")
    version: Maybe[str] = Field(default=None, description="version of this package that wrote the document")
    source: Source
    image: Image
    model: Model
    error: Failure
    run: Run

    @classmethod
    def of(cls, image: ImageRef, final: ImageRef, error: Error, model: ModelInfo, run: RunInfo) -> Self:
        """Make the document of a rejected image."""
        return cls(
            schema=SCHEMA,
            version=__version__,
            source=Source(**vars(image)),
            image=Image(bucket=final.bucket, key=final.key),
            model=Model(**vars(model)),
            error=Failure(**vars(error)),
            run=Run(**vars(run), labelled_at=now()),
        )


class Body(Part):
    """The SQS message, unchanged."""

    id: _Text = Field(description="id of the SQS message")
    body: str = Field(description="body of the SQS message, unchanged")


class RejectedMessage(Stored):
    """The document of a message that announced no image of the source bucket, or images that cannot be read."""

    schema_: Literal["label-detection/1"] = Field(alias="schema", description="form of this document")
    version: Maybe[str] = Field(default=None, description="version of this package that wrote the document")
    message: Body
    error: Failure
    run: Run

    @classmethod
    def of(cls, message: Message, error: Error, run: RunInfo) -> Self:
        """Make the document of a message."""
        return cls(
            schema=SCHEMA,
            version=__version__,
            message=Body(id=message.id, body=message.body),
            error=Failure(**vars(error)),
            run=Run(**vars(run), labelled_at=now()),
        )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the three document types."""
    adapter: TypeAdapter[Any] = TypeAdapter(LabelDocument | RejectedImage | RejectedMessage)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Document of label detection for an image, or for a message without an image",
        **adapter.json_schema(schema_generator=Schema),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
