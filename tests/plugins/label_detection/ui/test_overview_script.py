"""The overview's script in a real browser, without Airflow: the texts that it shows for the routes' answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from label_detection.ui.policy import policy
from label_detection.ui.responses import ASSETS
from tests.plugins.label_detection.ui.known import row
from tests.security.test_pages import MARKUP

SITE = "http://pages.test"
PIPELINES = [{"name": "", "dag_id": "label_detection"}]
RUNS: dict[str, Any] = {"runs": [], "before": None}
LEASE = {"dag_id": "label_detection", "run_id": "r", "since": "2026-11-22T06:00:00Z", "until": "2026-11-22T07:15:00Z"}
NOW: dict[str, Any] = {
    "model": "arn:a",
    "state": {"phase": "off", "status": "STOPPED", "reason": "", "units": None},
    "state_problem": None,
    "lease": None,
    "lease_problem": None,
    "warning": None,
    "queue": {"waiting": 0, "in_flight": 0, "oldest_seconds": None},
    "queue_problem": None,
    "age_problem": None,
    "watchdog": {"state": None, "ended_at": None, "looks": 0, "acted": []},
    "costs": {"day": 0.0, "month": 0.0, "limits": [], "problem": None},
    "paused": False,
    "paused_why": None,
}
ON = {"phase": "running", "status": "RUNNING", "reason": "", "units": 2}

Show = Callable[..., Page]


@pytest.fixture
def show(chromium_browser: Browser) -> Iterator[Show]:
    """Opens the page with changes to the answer of `now`. Fails on errors in the browser's console."""
    trouble: list[str] = []
    pages: list[Page] = []

    def show(width: int = 1280, scheme: Any = "light", runs: Any = (), **change: Any) -> Page:
        data = {"pipelines": PIPELINES, "pipelines/label_detection/runs": RUNS | {"runs": runs}}
        data["pipelines/label_detection/now"] = NOW | change

        def answer(route: Route) -> None:
            path = route.request.url.removeprefix(f"{SITE}/")
            if path == "overview":
                body, headers = (ASSETS / "overview.html").read_text(), {"Content-Security-Policy": policy(None)}
                route.fulfill(body=body, headers=headers, content_type="text/html; charset=utf-8")
            elif path in data:
                route.fulfill(body=json.dumps(data[path]), content_type="application/json")
            else:
                route.fulfill(path=ASSETS / path.removeprefix("assets/"))

        page = chromium_browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.route("**/*", answer)
        page.goto(f"{SITE}/overview")
        page.locator(".now").wait_for()
        return page

    yield show
    for page in pages:
        page.close()
    assert trouble == []


def said(page: Page, term: str) -> list[str]:
    """The text beside a term."""
    return page.locator(".now > div").filter(has=page.get_by_text(term, exact=True)).locator("dd").all_inner_texts()


def state(phase: str, status: str, reason: str = "", units: int | None = None) -> dict[str, Any]:
    return {"state": {"phase": phase, "status": status, "reason": reason, "units": units}}


HELD = "Held by run r since 2026-11-22 06:00 UTC, at most until 2026-11-22 07:15 UTC"
NOBODY = "No run holds the model"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        pytest.param({}, ["Off: STOPPED", NOBODY], id="off"),
        pytest.param({"state": ON, "lease": LEASE}, ["On: RUNNING, 2 unit(s)", HELD], id="on"),
        pytest.param(state("starting", "Creating") | {"lease": LEASE}, ["Starting: Creating", HELD], id="starting"),
        pytest.param(state("stopping", "STOPPING_HOSTING"), ["Stopping: STOPPING_HOSTING", NOBODY], id="stopping"),
        pytest.param(state("unusable", "GONE", "why"), ["Cannot be started: GONE; why", NOBODY], id="unusable"),
        pytest.param({"state": None, "state_problem": "No right."}, ["No right.", NOBODY], id="not known"),
        pytest.param(
            {"lease": LEASE | {"dag_id": "other"}},
            ["Off: STOPPED", HELD.replace("run r", "run r of DAG other")],
            id="another DAG's",
        ),
        pytest.param(
            {"lease_problem": "x"}, ["Off: STOPPED", "Which run holds the model is not known"], id="an edited lease"
        ),
    ],
)
def test_whether_the_model_is_on_and_for_whom(show: Show, change: dict[str, Any], lines: list[str]) -> None:
    assert said(show(**change), "Model") == lines


LIMIT = {"limit": 5.0, "spent": 1.25, "set_aside": 0, "left": 3.75, "ends_at": "2026-11-22T23:00:00+00:00"}
DAY, MONTH = LIMIT | {"option": "max_cost_per_day"}, LIMIT | {"option": "max_cost_per_month"}


@pytest.mark.parametrize(
    ("limits", "lines"),
    [
        pytest.param([], [], id="without a budget"),
        pytest.param(
            [DAY | {"scope": "pipeline"}, MONTH | {"scope": "all", "set_aside": 0.5, "left": 3.25}],
            [
                "Budget of this pipeline per day: 5.00 USD; 1.25 USD spent, 3.75 USD left until 2026-11-22 23:00 UTC",
                "Budget of all pipelines per month: 5.00 USD; 1.25 USD spent, 0.50 USD set aside for models that are on"
                ", 3.25 USD left until 2026-11-22 23:00 UTC",
            ],
            id="with two",
        ),
        pytest.param(
            [DAY | {"scope": "all", "spent": 5.2, "left": 0.0}],
            [
                "Budget of all pipelines per day: 5.00 USD; 5.20 USD spent, nothing left until 2026-11-22 23:00 UTC: "
                "no run starts the model"
            ],
            id="used up",
        ),
    ],
)
def test_what_was_spent_and_what_is_left(show: Show, limits: list[dict[str, Any]], lines: list[str]) -> None:
    costs = {"day": 1.25, "month": 20.0, "limits": limits, "problem": None}
    assert said(show(costs=costs), "Cost") == ["1.25 USD today, 20.00 USD this month", *lines]


def test_only_the_budget_that_is_used_up_stands_out(show: Show) -> None:
    limits = [DAY | {"scope": "all", "spent": 5.2, "left": 0.0}, MONTH | {"scope": "all"}]
    page = show(costs={"day": 1.25, "month": 20.0, "limits": limits, "problem": None})
    standing_out = page.locator(".now dd.late").all_inner_texts()
    assert [text.partition(":")[0] for text in standing_out] == ["Budget of all pipelines per day"]


def test_costs_that_cannot_be_read_are_a_line(show: Show) -> None:
    assert said(show(costs={"day": None, "month": None, "limits": [], "problem": "edited"}), "Cost") == ["edited"]


def test_a_run_that_the_budget_skipped_says_so(show: Show) -> None:
    run = {"run_id": "r", "state": "success", "empty": False, "over_budget": True, "report": None}
    page = show(runs=[run | {"report_problem": None}])
    assert page.get_by_text("success: the budget is used up, nothing was started").count() == 1


def waiting(seconds: float | None, count: int = 12) -> dict[str, Any]:
    return {"queue": {"waiting": count, "in_flight": 3, "oldest_seconds": seconds}}


COUNTS = "12 waiting, 3 in flight"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        pytest.param(waiting(None, 0), ["0 waiting, 3 in flight"], id="nothing"),
        pytest.param(waiting(7), [f"{COUNTS}; the oldest has waited 7 s"], id="seconds"),
        pytest.param(waiting(899), [f"{COUNTS}; the oldest has waited 14 min"], id="minutes"),
        pytest.param(waiting(7200), [f"{COUNTS}; the oldest has waited 2 h"], id="hours"),
        pytest.param(waiting(172800), [f"{COUNTS}; the oldest has waited 2 days"], id="days"),
        pytest.param(
            waiting(None),
            [COUNTS, "The age of the oldest message is not known: CloudWatch has no data point yet."],
            id="not known",
        ),
        pytest.param(waiting(None) | {"age_problem": "No right."}, [COUNTS, "No right."], id="not allowed"),
        pytest.param({"queue": None, "queue_problem": "No queue."}, ["No queue."], id="no queue"),
    ],
)
def test_the_number_and_the_age_of_waiting_messages_are_shown(
    show: Show, change: dict[str, Any], lines: list[str]
) -> None:
    assert said(show(**change), "Queue") == lines


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_warning_is_visible_text_that_fits_the_screen(show: Show, width: int, scheme: str) -> None:
    long = "aws rekognition stop-project-version --project-version-arn arn:aws:rekognition:" + "x" * 255
    page = show(width, scheme, state=ON, warning=long)
    warning = page.get_by_role("alert")
    assert warning.inner_text() == f"Warning: {long}"
    assert warning.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


WHY = "This DAG was paused after 5 failed runs in a row: remove the cause, then unpause the DAG."


@pytest.mark.parametrize(
    ("why", "warnings", "lines"),
    [
        pytest.param(
            WHY, [f"Warning: {WHY} Until then the pictures wait in the queue."], [], id="after a series of failed runs"
        ),
        pytest.param(None, [], ["Paused: no run starts until somebody unpauses it"], id="by somebody"),
    ],
)
def test_a_paused_pipeline_is_seen(show: Show, why: str | None, warnings: list[str], lines: list[str]) -> None:
    page = show(390, paused=True, paused_why=why)
    assert page.get_by_role("alert").all_inner_texts() == warnings
    assert said(page, "DAG") == lines
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_warnings_the_page_shows_none(show: Show) -> None:
    assert show().get_by_role("alert").count() == 0


def test_an_unreadable_report_is_shown_only_beside_its_run(show: Show) -> None:
    def run(run_id: str, report: Any = None, problem: str | None = None) -> dict[str, Any]:
        return {"run_id": run_id, "state": "success", "report": report, "report_problem": problem}

    page = show(runs=[run("a", problem="It is not JSON."), run("b"), run("c", row({}))])
    page.locator("tbody").wait_for()
    states = page.locator("tbody td:nth-child(2)").all_inner_texts()
    assert states == ["success; It is not JSON.", "success, no report", "success"]


def test_a_run_that_found_an_empty_queue_is_shown_without_a_start(show: Show) -> None:
    page = show(runs=[{"run_id": "a", "state": "success", "empty": True, "report": None, "report_problem": None}])
    page.locator("tbody").wait_for()
    state = page.locator("tbody td:nth-child(2)").inner_text()
    assert state == "success: the queue was empty, nothing was started"


def test_the_rejected_of_a_run_are_a_link_to_them_and_the_costs_are_added_up(show: Show) -> None:
    report = row({"images": {"labelled": 9, "rejected": 2}, "model": {"cost_usd": 0.75}})
    page = show(runs=[{"run_id": "a+b", "state": "success", "report": report, "report_problem": None}] * 2)
    page.locator("tbody").wait_for()
    link = page.get_by_role("link", name="2", exact=True).first.get_attribute("href")
    assert link == "runs/label_detection?run_id=a%2Bb&show=rejected"
    assert page.locator("summary").inner_text() == "2 runs, 2 with a report, together 1.50 USD"


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (
            ["running", "failed", "success"],
            "Warning: The last run failed: 1. The cause is shown above the pictures of the run",
        ),
        (["success", "failed"], None),
        ([], None),
    ],
    ids=["the last that has ended", "an earlier one", "none"],
)
def test_a_failed_last_run_is_shown_at_the_top(show: Show, states: list[str], said: str | None) -> None:
    report = row({"problems": ["x"]})
    runs = [
        {"run_id": str(n), "state": state, "report": report, "report_problem": None} for n, state in enumerate(states)
    ]
    page = show(runs=runs)
    page.locator("summary").wait_for()
    warnings = page.get_by_role("alert").all_inner_texts()
    assert [warning.partition(", and")[0] for warning in warnings] == ([said] if said else [])


@pytest.mark.parametrize(("looks", "words"), [(1, "run"), (144, "144 runs")])
def test_the_page_shows_how_often_the_watchdog_has_run(show: Show, looks: int, words: str) -> None:
    page = show(watchdog={"state": "success", "ended_at": "2026-11-22T06:00:00Z", "looks": looks, "acted": []})
    assert said(page, "Watchdog")[1] == f"nothing to do for this model in its last {words}"


def test_a_time_that_is_not_known_is_not_1970(show: Show) -> None:
    report = row({"images": {"labelled": 9}})
    runs = [{"run_id": "a", "state": "success", "report": report, "report_problem": None}]
    page = show(runs=runs, watchdog={"state": "success", "ended_at": None, "looks": 0, "acted": []})
    page.locator("tbody").wait_for()
    assert "1970" not in page.content()


@pytest.mark.parametrize("text", MARKUP, ids=ascii)
def test_all_shown_texts_stay_text(show: Show, text: str) -> None:
    lease = LEASE | {"run_id": text, "dag_id": text}
    page = show(**state("running", text, text), lease=lease, warning=text, **waiting(None), age_problem=text)
    warned = page.get_by_role("alert").evaluate("warning => [warning.textContent, warning.children.length]")
    assert warned == [f"Warning: {text}", 2]
    assert page.locator(".now dd *").count() == 0


MANY = [{"name": f"line {number}", "dag_id": f"label_detection__line_{number}"} for number in range(8)]
Many = Callable[..., tuple[Page, list[str]]]


@pytest.fixture
def many(chromium_browser: Browser) -> Iterator[Many]:
    """A page of eight pipelines, and the pipelines that it has requested, in order."""
    pages: list[Page] = []

    def many(script: str = "") -> tuple[Page, list[str]]:
        asked: list[str] = []

        def answer(route: Route) -> None:
            path = route.request.url.removeprefix(f"{SITE}/")
            if path == "overview":
                route.fulfill(path=ASSETS / "overview.html", content_type="text/html; charset=utf-8")
            elif path == "pipelines":
                route.fulfill(body=json.dumps(MANY), content_type="application/json")
            elif path.endswith("/now"):
                asked.append(path.split("/")[1])
                route.fulfill(body=json.dumps(NOW), content_type="application/json")
            elif path.endswith("/runs"):
                report = {"run_id": "a", "state": "success", "report": row({}), "report_problem": None}
                route.fulfill(body=json.dumps(RUNS | {"runs": [report]}), content_type="application/json")
            else:
                route.fulfill(path=ASSETS / path.removeprefix("assets/"))

        page = chromium_browser.new_page(viewport={"width": 1280, "height": 800})
        pages.append(page)
        page.add_init_script(script)
        page.route("**/*", answer)
        page.goto(f"{SITE}/overview")
        page.locator(".plot").first.wait_for()
        page.wait_for_timeout(500)
        return page, asked

    yield many
    for page in pages:
        page.close()


def loaded(page: Page, number: int) -> None:
    """Wait until a pipeline is loaded."""
    page.locator("section", has=page.get_by_role("heading", name=f"line {number}")).locator(".plot").first.wait_for()


def test_only_visible_pipelines_are_requested(many: Many) -> None:
    page, asked = many()
    assert 0 < len(asked) < 4
    assert page.get_by_role("heading", level=2).count() == len(MANY), "a search must find every name"
    page.locator("section").nth(5).scroll_into_view_if_needed()
    loaded(page, 5)
    assert "label_detection__line_7" not in asked


def test_every_pipeline_can_be_reached_by_keyboard(many: Many) -> None:
    page, asked = many()
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent")
        if focused == MANY[-1]["name"]:
            break
        if focused.startswith("line "):
            loaded(page, int(focused.removeprefix("line ")))
    loaded(page, 7)
    assert asked == [pipeline["dag_id"] for pipeline in MANY]


def test_a_link_to_a_pipeline_brings_it_into_sight(many: Many) -> None:
    page, asked = many()
    page.evaluate(f"location.hash = '#{MANY[6]['dag_id']}'")
    loaded(page, 6)
    assert MANY[3]["dag_id"] not in asked


def test_one_click_loads_all_pipelines_for_search_and_print(many: Many) -> None:
    page, asked = many()
    page.get_by_role("button", name="Load all").click()
    loaded(page, 7)
    assert sorted(asked) == [pipeline["dag_id"] for pipeline in MANY]
    assert page.locator("#rest").is_hidden()


def test_printing_loads_all_pipelines(many: Many) -> None:
    page, asked = many()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    loaded(page, 7)
    assert sorted(asked) == [pipeline["dag_id"] for pipeline in MANY]


def test_a_browser_without_intersection_observer_loads_all_pipelines(many: Many) -> None:
    page, asked = many("delete window.IntersectionObserver")
    loaded(page, 7)
    assert sorted(asked) == [pipeline["dag_id"] for pipeline in MANY]
    assert page.locator("#rest").is_hidden()


def test_a_single_pipeline_is_shown_without_a_text_about_loading(show: Show) -> None:
    page = show()
    page.locator("section:not(.unloaded)").wait_for()
    assert page.locator("#rest").is_hidden()
    assert page.get_by_text("Loading …").count() == 0


def test_users_who_may_not_read_the_watchdogs_runs_see_that(show: Show) -> None:
    words = "You may not read the runs of the watchdog."
    page = show(watchdog={"state": None, "ended_at": None, "looks": 0, "acted": [], "problem": words})
    assert said(page, "Watchdog") == [words]
