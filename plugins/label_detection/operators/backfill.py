"""The backfill: lists pictures that were never announced, and announces them."""

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
    """The trigger form."""
    return {name: _param(schema) for name, schema in BackfillOptions.model_json_schema()["properties"].items()}


def _param(schema: dict[str, Any]) -> Param:
    facts = {key: schema[key] for key in ("title", "description", "minimum", "maximum") if key in schema}
    kind = schema["type"]
    return Param(schema["default"], type=kind if kind == "boolean" else ["null", kind], **facts)


class PlanBackfillOperator(BaseOperator):
    """
    Lists the source bucket under `prefix` and counts its pictures: how many, how large, how old, what is left out and
    why, and what labelling them would take. How many messages the queue has already is said too: S3 cannot tell which
    pictures were announced before. To announce one twice is harmless, it is labelled once.

    A dry run ends here, its counts in the log and in XCom (`survey`); `enqueue_images` is skipped. Else the keys are
    written to `runs/<run id>/backfill/` in the final bucket, oldest first, a file for each task that follows.

    **When it is red:** its log names the param that is wrong, or the call that was refused. Nothing was announced; mend
    it and clear the task, or start another run.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """The chunks, as JSON; none in a dry run."""
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
        self.log.info("to label these takes %s", effort)
        waiting = depth.visible + depth.in_flight + depth.delayed
        if waiting and survey.pictures:
            messages = f"{waiting:,} message{'s' if waiting != 1 else ''}"
            announced = f"{min(waiting, survey.pictures):,} of these pictures may be announced already"
            self.log.info("the queue has %s already: up to %s", messages, announced)
        if options.dry_run:
            self.log.info("a dry run: nothing is announced")
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
    Puts one file of keys on the queue, oldest first, as S3 would have announced them. The next runs of
    `label_detection` label them; a run that is going on takes them too. Its name in the grid says how many were sent,
    and from when they are.

    A retry or a cleared task goes on where the last attempt ended; a few may be announced twice, none is left out.

    **When it is red:** nothing is lost. Its log names the call that was refused (often `sqs:SendMessage`), or what SQS
    said about messages that it did not take. Mend it and clear the task: it goes on from there.
    """

    def __init__(self, *, chunk: dict[str, Any], **kwargs: Any) -> None:
        """`chunk`: a `Chunk` as JSON, from the plan."""
        super().__init__(**kwargs)
        self.chunk = chunk
        self._announcer: Announcer | None = None
        self._killed = False

    def execute(self, context: Context) -> int:
        """How many of the chunk are on the queue, by this and earlier attempts."""
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
            raise AirflowFailException(f"{error}: clear plan_backfill, which clears this too") from None
        except aws_errors.AWS_ERRORS as error:
            if aws_errors.is_transient(error):
                raise
            raise AirflowFailException(f"{error}; cleared, it goes on after {announcer}") from error
        finally:
            context["images"] = str(announcer)  # type: ignore[typeddict-unknown-key]  # map_index_template
        if self._killed:
            raise AirflowException(f"the task was stopped: {announcer}; a retry continues there")
        self.log.info("sent: %s", announcer)
        return announcer.sent

    def on_kill(self) -> None:
        """Airflow's only word that the task must end; `execute` goes on until the announcer returns."""
        self._killed = True
        if self._announcer:
            self._announcer.stop()
