"""Operators of the backfill: list pictures that were never announced on the queue, and announce them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection.configuration import read_settings
from label_detection.hooks.clients import s3_client, sqs_client
from label_detection_core import aws_errors
from label_detection_core.backfill import backfill
from label_detection_core.backfill.announcer import Announcer, ChunkGoneError
from label_detection_core.backfill.backfill import BackfillOptions, Chunk, Effort, Survey
from label_detection_core.config.settings import Settings
from label_detection_core.queue.image_queue import ImageQueue

if TYPE_CHECKING:
    from airflow.sdk import Context


def backfill_params() -> dict[str, Param]:
    """The params of the trigger form."""
    return {name: _param(schema) for name, schema in BackfillOptions.model_json_schema()["properties"].items()}


def _param(schema: dict[str, Any]) -> Param:
    facts = {key: schema[key] for key in ("title", "description", "minimum", "maximum") if key in schema}
    kind = schema["type"]
    return Param(schema["default"], type=kind if kind == "boolean" else ["null", kind], **facts)


class PlanBackfillOperator(BaseOperator):
    """
    Lists the source bucket under `prefix` and reports its pictures: their number, size and age, which objects are left
    out and why, and how much time and money labelling them would take. It also reports how many messages are in the
    queue: S3 does not store which pictures were announced before. A picture that is announced twice is labelled once.

    A dry run ends here, with its counts in the log and in XCom (`survey`); `enqueue_images` is skipped. Otherwise the
    keys are written to `runs/<run id>/backfill/` in the final bucket, oldest first, one file for each following task.

    **When it is red:** its log names the param that is wrong, or the AWS call that was refused. Nothing was announced.
    Correct the cause and clear the task, or start another run.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """The chunks of keys, as JSON, one per following task; an empty list in a dry run."""
        settings = read_settings(context)
        try:
            options = BackfillOptions.of(context["params"])
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        try:
            return self._plan(context, settings, options)
        except aws_errors.AWS_ERRORS as error:
            if aws_errors.is_transient(error):
                raise
            raise AirflowFailException(f"{error}; nothing was announced") from error

    def _plan(self, context: Context, settings: Settings, options: BackfillOptions) -> list[dict[str, Any]]:
        s3, survey = s3_client(settings), Survey()
        pictures = backfill.list_pictures(s3, settings.source_bucket, options, survey)
        chunks: list[Chunk] = []
        if options.dry_run:
            deque(pictures, maxlen=0)
        else:
            with backfill.oldest_first(pictures) as found:
                size = backfill.chunk_size(survey.pictures)
                chunks = backfill.write_chunks(s3, settings.final_bucket, context["run_id"], found, size)
        self._say(context, settings, options, survey)
        return [chunk.model_dump(mode="json") for chunk in chunks]

    def _say(self, context: Context, settings: Settings, options: BackfillOptions, survey: Survey) -> None:
        effort = Effort.of(survey.pictures, settings)
        depth = ImageQueue(sqs_client(settings), settings.queue_url).depth()
        place = f"s3://{settings.source_bucket}/{options.prefix}"
        self.log.info("%s: %s", place, survey)
        self.log.info("labelling these pictures takes %s", effort)
        waiting = depth.visible + depth.in_flight + depth.delayed
        if waiting and survey.pictures:
            messages = f"{waiting:,} message{'s' if waiting != 1 else ''}"
            announced = f"{min(waiting, survey.pictures):,} of these pictures may be announced already"
            self.log.info("the queue has %s already: up to %s", messages, announced)
        if options.dry_run:
            self.log.info("dry run: nothing is announced")
        facts = {
            **survey.to_json(),
            **vars(effort),
            "effort": str(effort),
            "queue": vars(depth),
            "dry_run": options.dry_run,
        }
        context["ti"].xcom_push("survey", facts)


class EnqueueImagesOperator(BaseOperator):
    """
    Sends one message to the queue for each key in a file, oldest first, in the format of S3's own messages. The current
    run of `label_detection` or its next ones label the pictures. The task's name in the grid shows how many messages
    were sent, and how old the pictures are.

    A retry or a cleared task continues where the last attempt ended. A few pictures may be announced twice; none is
    left out.

    **When it is red:** nothing is lost. Its log names the AWS call that was refused (often `sqs:SendMessage`), or has
    the error of SQS for the messages that it did not accept. Correct the cause and clear the task: it continues there.
    """

    def __init__(self, *, chunk: dict[str, Any], **kwargs: Any) -> None:
        """`chunk`: a `Chunk` as JSON, from `plan_backfill`."""
        super().__init__(**kwargs)
        self.chunk = chunk
        self._announcer: Announcer | None = None
        self._killed = False

    def execute(self, context: Context) -> int:
        """Number of pictures of the chunk that were announced, by this and earlier attempts."""
        settings = read_settings(context)
        announcer = self._announcer = Announcer(
            s3_client(settings),
            sqs_client(settings),
            source_bucket=settings.source_bucket,
            final_bucket=settings.final_bucket,
            queue_url=settings.queue_url,
            chunk=Chunk.model_validate(self.chunk),
            on_progress=lambda announcer: self.log.info("sent so far: %s", announcer),
        )
        try:
            if not self._killed:
                announcer.run()
        except ChunkGoneError as error:
            raise AirflowFailException(f"{error}: clear plan_backfill, which clears this task too") from None
        except aws_errors.AWS_ERRORS as error:
            if aws_errors.is_transient(error):
                raise
            raise AirflowFailException(
                f"{error}; correct the cause and clear the task: it continues after {announcer}"
            ) from error
        finally:
            context["images"] = str(announcer)  # type: ignore[typeddict-unknown-key]  # map_index_template
        if self._killed:
            raise AirflowException(f"the task was stopped: {announcer}; a retry continues there")
        self.log.info("sent: %s", announcer)
        return announcer.sent

    def on_kill(self) -> None:
        """Stop the announcer; `execute` runs until it returns. Airflow asks a task to end only by this call."""
        self._killed = True
        if self._announcer:
            self._announcer.stop()
