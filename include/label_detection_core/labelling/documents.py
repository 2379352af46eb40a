"""The JSON document beside an image in the final bucket, labelled or rejected, and that of a message without an image.

`label_document.schema.json` beside this file is their contract: `python -m label_detection_core.labelling.documents`
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


#: Of what a service answers: it may have more than is named here.
_OPEN = ConfigDict(json_schema_extra={"additionalProperties": True})


def _says(**more: Any) -> Any:
    """What the schema says of a field, and no reader insists on."""
    return Field(json_schema_extra=more)


_Bucket = Annotated[str, _says(minLength=3)]
_Key = Annotated[str, _says(minLength=1, maxLength=1024)]
_Text = Annotated[str, _says(minLength=1)]
_Percent = Annotated[Number, _says(minimum=0, maximum=100)]


class Source(Part):
    """The version of the object that was looked at."""

    bucket: _Bucket
    key: _Key
    etag: str | None
    version_id: str | None
    size: Annotated[int | None, _says(description="bytes", minimum=0)]


class Image(Part):
    """The copy in the final bucket."""

    bucket: _Bucket
    key: _Key


class Model(Part):
    """The model that was asked."""

    arn: Annotated[str, _says(pattern="^arn:")]
    min_confidence: Annotated[
        float | None,
        _says(
            description="labels that the model is less sure of were left out, 0-100; null: its own thresholds held",
            minimum=0,
            maximum=100,
        ),
    ]


class Run(Part):
    """The task that wrote this."""

    dag_id: _Text
    run_id: _Text
    map_index: Annotated[int, _says(minimum=0)]
    labelled_at: Annotated[str, _says(format="date-time")]


class Failure(Part):
    """Why there are no labels: a service's code, or one of this package, and its explanation."""

    code: _Text
    message: str


class Anomaly(Part):
    """Whether something is wrong with the image, and how sure the model is of that; only where the model says so."""

    model_config = ConfigDict(validate_by_name=True)

    is_anomalous: bool = Field(alias="IsAnomalous", strict=True)
    confidence: _Percent = Field(alias="Confidence")


class Box(Part):
    """Ratios of the image's width and height."""

    model_config = _OPEN

    left: Number = Field(alias="Left")
    top: Number = Field(alias="Top")
    width: Number = Field(alias="Width")
    height: Number = Field(alias="Height")


class Geometry(Part):
    """Where a label is; absent for a label of the whole image."""

    model_config = _OPEN

    box: Maybe[Box] = Field(None, alias="BoundingBox")


class Label(Part):
    """A label with all that the service said of it."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True, "required": ["Name", "Confidence"]})

    name: _Text = Field(alias="Name")
    confidence: Lenient[_Percent] = Field(0.0, alias="Confidence")
    geometry: Maybe[Geometry] = Field(None, alias="Geometry")


def _schema_of_a_label(_: Any, make: GetJsonSchemaHandler) -> JsonSchemaValue:
    return make(Label.__pydantic_core_schema__)


#: A label as it is stored and passed on: unchanged.
AsAnswered = Annotated[dict[str, Any], GetPydanticSchema(get_pydantic_json_schema=_schema_of_a_label)]


class LabelDocument(Stored):
    """Of a labelled image."""

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": False,
            "required": ["schema", "source", "image", "model", "labels", "run"],
        }
    )

    schema_: Literal["label-detection/1"] = Field(alias="schema")
    version: Maybe[str] = None  # of this package
    source: Maybe[Source] = None  # as the next two: written always, and not needed by a reader of the labels
    image: Maybe[Image] = None
    model: Maybe[Model] = None
    labels: list[AsAnswered]
    anomaly: Maybe[Anomaly] = None
    run: Maybe[Run] = None

    @classmethod
    def of(cls, image: ImageRef, final: ImageRef, found: Detection, model: ModelInfo, run: RunInfo) -> Self:
        """What is written for an image that the model has labelled."""
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
        """Whether this model was asked, with this confidence."""
        asked = self.model
        return asked is not None and (asked.arn, asked.min_confidence) == (model.arn, model.min_confidence)

    @property
    def detection(self) -> Detection:
        """What the model answered."""
        said = self.anomaly
        return Detection(self.labels, labels.Anomaly(said.is_anomalous, said.confidence) if said else None)


class RejectedImage(Stored):
    """Of an image that has no labels and never will."""

    schema_: Literal["label-detection/1"] = Field(alias="schema")
    version: Maybe[str] = None  # of this package
    source: Source
    image: Image
    model: Model
    error: Failure
    run: Run

    @classmethod
    def of(cls, image: ImageRef, final: ImageRef, error: Error, model: ModelInfo, run: RunInfo) -> Self:
        """What is written for an image that is rejected."""
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
    """The message as it came."""

    id: _Text
    body: str


class RejectedMessage(Stored):
    """Of a message that announced no image of ours, or images that cannot be read."""

    schema_: Literal["label-detection/1"] = Field(alias="schema")
    version: Maybe[str] = None  # of this package
    message: Body
    error: Failure
    run: Run

    @classmethod
    def of(cls, message: Message, error: Error, run: RunInfo) -> Self:
        """What is written for a message that is kept."""
        return cls(
            schema=SCHEMA,
            version=__version__,
            message=Body(id=message.id, body=message.body),
            error=Failure(**vars(error)),
            run=Run(**vars(run), labelled_at=now()),
        )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of all three."""
    adapter: TypeAdapter[Any] = TypeAdapter(LabelDocument | RejectedImage | RejectedMessage)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What label detection writes for an image, or for a message without one",
        **adapter.json_schema(schema_generator=Schema),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
