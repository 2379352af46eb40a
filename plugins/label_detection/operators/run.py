"""Operators that plan a run and that write its report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from label_detection import budget, history, leases, metrics, notifications, preflight, series, waiting, xcom
from label_detection.budget import BudgetReachedError
from label_detection.configuration import option_place, read_settings
from label_detection.hooks.clients import FEW_ATTEMPTS, s3_client, sqs_client
from label_detection.hooks.model import ModelState, Phase, model_hook
from label_detection.links.console import FinalBucketLink, ModelLink, QueueLink, RunFolderLink, SourceBucketLink
from label_detection.links.pages import PicturesLink
from label_detection_core import aws_errors
from label_detection_core.config.settings import Settings
from label_detection_core.drain import journal
from label_detection_core.queue.image_queue import ImageQueue
from label_detection_core.run.budget import only_stopping
from label_detection_core.run.left_behind import THREADS, find_left_behind, unreadable_warnings
from label_detection_core.run.plan import Plan, make_plan
from label_detection_core.run.report import ModelUse, Report
from label_detection_core.run.totals import Totals, add_up
from label_detection_core.stored import to_json

if TYPE_CHECKING:
    from airflow.sdk import Context


#: Key of the XCom with a one-line summary of the run, also for a red run.
SUMMARY = "summary"


class PlanRunOperator(BaseOperator):
    """
    Checks everything that the run needs before the model is started: the Python packages, both buckets and their
    Regions, the queue, and the model. It chooses the number of inference units and of tasks from the backlog, and from
    how long starts and images took in the last runs. It takes the lease on the model. Options that are probably wrong,
    and guarantees that the final bucket's S3 does not give, are warnings in its log and in the report.

    **When it is red:** its log names what cannot be reached or used: a package that is not installed, a model that
    cannot be started, or a bucket that does not exist, is in another Region than the model, or has an unsupported type
    (S3 Express, Requester Pays). Nothing was started. Correct the cause and clear the task.

    **When it is skipped and `wait_for_images` is not:** a budget is used up (`max_cost_per_day`,
    `max_cost_per_month`). The last line of its log names the budget. Nothing was started, and the pictures stay queued.
    """

    operator_extra_links = (QueueLink(), SourceBucketLink(), FinalBucketLink(), ModelLink())

    def execute(self, context: Context) -> list[float]:
        """One entry per analysis task: its first request rate, in images per second."""
        settings = self.settings = read_settings(context)
        place = option_place(context)
        preflight.check_modules(settings)
        preflight.check_queue(settings, place)
        warnings = settings.doubts() + preflight.check_buckets(settings, place)
        state = self._look_at_model(settings)
        depth = ImageQueue(sqs_client(settings), settings.queue_url).depth()
        conditions, weaker = preflight.probe_conditions(settings, context["run_id"], place)
        plan = make_plan(settings, depth.visible, history.read_history(settings.model_arn), state.fixed_units)
        plan = self._within_budget(context, plan.model_copy(update={"conditions": conditions}), state)
        self.log.info("%d inference units, %d tasks: %s", plan.units, plan.tasks, plan.reason)
        if state.fixed_units and "price_per_unit_hour" not in settings.model_fields_set:
            self.log.warning(
                "price_per_unit_hour is not set: the report uses %g USD; set it to the hourly price of an instance",
                settings.price_per_unit_hour,
            )
        for warning in (warnings := warnings + weaker):
            self.log.warning("%s", warning)
        if state.is_held and leases.read_lease(settings.model_arn) is None:
            warnings.append(f"the model was {state.status} before this run, and no run held it: it has cost money")
            self.log.warning("%s", warnings[-1])
            notifications.found_on(context, settings.model_arn, state.status)
        _, left = leases.take_lease(context, plan)
        xcom.push_plan(context, plan)
        waiting.forget(settings)
        xcom.push_warning(context, *warnings, left)
        return [plan.images_per_second / plan.tasks] * plan.tasks

    def _within_budget(self, context: Context, plan: Plan, state: ModelState) -> Plan:
        """The plan, with a deadline that the budget pays for. The run is skipped if the budget pays for none.

        If an earlier run left the model on, this run is not skipped: it only stops the model.
        """
        try:
            return budget.fitted(context, plan, state.fixed_units)
        except BudgetReachedError as error:
            held = leases.read_lease(plan.settings.model_arn)
            if state.is_held and held and held.dag_id == context["ti"].dag_id:
                self.log.warning("%s; but an earlier run left the model on: this run only stops it", error.standing)
                return only_stopping(plan)
            if error.is_spent:
                notifications.budget_reached(context, error.standing)
            self.log.warning("%s", error)  # Airflow's log of a skipped task does not have the reason
            raise AirflowSkipException(str(error)) from None

    def _look_at_model(self, settings: Settings) -> ModelState:
        try:
            state = model_hook(settings).describe()
        except LookupError as error:
            raise AirflowFailException(str(error)) from error
        if state.phase is Phase.UNUSABLE:
            raise AirflowFailException(f"the model cannot be started: it is {state}")
        return state


class WriteReportOperator(BaseOperator):
    """
    Adds up the run's results, and writes `runs/<run id>/report.json` and `report.html` to the final bucket: images by
    outcome, labels, rejections, the messages left in the queue, and the model's time, load and cost. It runs even if
    other tasks failed. It is skipped when the run is skipped.

    **When it is red, so is the run:** another task failed, and this task names it. Its log has one line for each
    problem and for each warning.
    """

    operator_extra_links = (PicturesLink(), RunFolderLink(), FinalBucketLink())

    def execute(self, context: Context) -> dict[str, Any]:
        """The stored report, without the lists that grow with the number of images."""
        states = self._states(context)
        failed, followed = (_in_state(states, state) for state in ("failed", "upstream_failed"))
        plan = xcom.pull_plan(context)
        if "skipped" in {
            states.get(xcom.SENSE_TASK),
            states.get(xcom.PLAN_TASK),
        }:  # a cleared run may still have an old plan in XCom
            raise AirflowSkipException("the run was skipped: there is nothing to report")
        if plan is None:
            if causes := failed or followed:
                raise AirflowFailException(
                    f"nothing was started, because these tasks did not succeed: {', '.join(causes)}; see their logs"
                )
            raise AirflowSkipException("the run has no plan: there is nothing to report")
        problems = [f"{task} {states[task]}" for task in failed + followed]
        if xcom.pull_stopped(context) is None and (found := self._found_on(plan)):
            stop = states.get(xcom.STOP_TASK) or "not done"
            red = stop in ("failed", "upstream_failed")
            why = "see stop_model's log" if red else f"stop_model is {stop}, but {found}: was it marked manually?"
            problems.append(f"THE MODEL MAY STILL BE RUNNING AND COSTS MONEY: {why}")
        warnings = xcom.pull_warnings(context)
        for problem in problems:  # before anything else, because writing the report may fail
            self.log.error("%s", problem)
        for warning in warnings:
            self.log.warning("%s", warning)
        summary = self._write(context, plan, problems, warnings)
        context["ti"].xcom_push(SUMMARY, summary.summary())
        self._learn(summary)
        metrics.send(summary)
        self._tell_assets(context, summary)
        if problems:
            raise AirflowFailException("; ".join(problems))
        series.end(context)
        return _for_xcom(summary.to_json())

    def _tell_assets(self, context: Context, summary: Report) -> None:
        """Attach the run's facts to the asset event that Airflow sends to scheduled DAGs when this task succeeds."""
        facts = summary.to_json()
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {
                "run_id": summary.run_id,
                "final_bucket": summary.plan.settings.final_bucket,
                "report": f"{journal.run_prefix(summary.run_id)}report.json",
                "images": facts["images"],
                "cost_usd": facts["model"]["cost_usd"],
            }

    def _learn(self, summary: Report) -> None:
        """Add this run's times of start, stop and images to the model's history, for later plans."""
        model, arn = summary.model, summary.plan.settings.model_arn
        start_seconds = None
        if model.requested_at and model.running_at and not model.adopted:
            start_seconds = max((model.running_at - model.requested_at).total_seconds(), 0.0)
        stop_seconds = None
        if model.stop_asked_at and model.stopped_at:
            stop_seconds = max((model.stopped_at - model.stop_asked_at).total_seconds(), 0.0)
        before = history.read_history(arn)
        history.write_history(arn, before.learn(start_seconds, summary.totals.seconds_per_image, stop_seconds))

    def _found_on(self, plan: Plan) -> str | None:
        """The model's state as text, for a run without a recorded stop; None: the model is off."""
        try:
            state = model_hook(plan.settings).describe()
        except (*aws_errors.AWS_ERRORS, LookupError) as error:
            self.log.warning("cannot get the model's state: %s", error)
            return "the model's state is not known"
        self.log.info("the model is %s", state)
        return f"the model is {state.status}" if state.is_on else None

    def _states(self, context: Context) -> dict[str, str]:
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
        return {task: state for task, state in states.items() if task != ti.task_id}

    def _write(self, context: Context, plan: Plan, problems: list[str], warnings: list[str]) -> Report:
        settings = self.settings = plan.settings
        s3 = s3_client(settings)
        run_id, now = context["run_id"], datetime.now(UTC)
        totals = add_up(journal.read_journal(s3, settings.final_bucket, run_id))
        queue = ImageQueue(sqs_client(settings), settings.queue_url).depth()
        stay = self._what_stays(settings, totals, queue.visible)
        summary = Report(
            dag_id=context["ti"].dag_id,
            run_id=run_id,
            started_at=context["dag_run"].start_date or now,
            ended_at=now,
            totals=totals,
            queue=queue,
            model=self._model_use(context, plan),
            plan=plan,
            problems=problems,
            warnings=[*warnings, *stay],
        )
        prefix = journal.run_prefix(run_id)
        for name, body, kind in (
            ("report.json", to_json(summary.to_json()), "application/json"),
            ("report.html", summary.to_html().encode(), "text/html; charset=utf-8"),
        ):
            s3.put_object(Bucket=settings.final_bucket, Key=prefix + name, Body=body, ContentType=kind)
        self.log.info("%s; s3://%s/%s", summary.summary(), settings.final_bucket, prefix)
        return summary

    def _what_stays(self, settings: Settings, totals: Totals, waiting: int) -> list[str]:
        """Warnings about images that stay in the source bucket without a message on the queue."""
        s3 = s3_client(settings, THREADS, FEW_ATTEMPTS)
        left = find_left_behind(s3, settings.source_bucket, totals.ignored_images)
        warnings = unreadable_warnings(totals.unreadable) + left.warnings(waiting)
        for warning in warnings:
            self.log.warning("%s", warning)
        return warnings

    def _model_use(self, context: Context, plan: Plan) -> ModelUse:
        started, stopped = xcom.pull_started(context), xcom.pull_stopped(context)
        on_since = stopped.on_since if stopped else None  # also known if start_model failed after its request
        return ModelUse(
            units=started.units if started else plan.units,
            requested_at=started.requested_at if started else on_since,
            adopted=started.adopted if started else False,
            stop_asked_at=stopped.asked_at if stopped else None,
            running_at=xcom.pull_running_at(context),
            stopped_at=stopped.stopped_at if stopped else None,
        )


def _for_xcom(report: dict[str, Any]) -> dict[str, Any]:
    """The report without its lists of labels, rejections and unreadable objects: an XCom is one database row."""
    return {name: value for name, value in report.items() if name not in {"labels", "rejections", "unreadable"}}


def _in_state(states: dict[str, str], state: str) -> list[str]:
    return sorted(task for task, its in states.items() if its == state)
