// All pipelines: their state now, and their runs over time.
"use strict";
(() => {
  const {element} = boxes;
  const status = document.getElementById("status");
  const rest = document.getElementById("rest");
  const LABELS = 6;

  const when = (iso) => {
    const at = new Date(iso ?? NaN); // new Date(null) is 1970
    return Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  };
  const whole = (value) => Math.round(value).toLocaleString("en");
  const minutes = (value) => `${value.toFixed(1)} min`;
  const usd = (value) => `${value.toFixed(2)} USD`;
  const waited = (seconds) => {
    if (seconds < 60) return `${whole(seconds)} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
  };
  const percent = (value) => `${(value * 100).toFixed(1)} %`;

  // `text`: a line or several; a line may be an object with its own class in `kind`.
  const fact = (term, text, kind = "") => element("div", {}, [
    element("dt", {textContent: term}),
    ...[text].flat().map((line) => element("dd", {className: line?.kind ?? kind, textContent: line?.text ?? line})),
  ]);

  const PHASES = {off: "Off", starting: "Starting", running: "On", stopping: "Stopping", unusable: "Cannot be started"};

  const modelOf = (state) => {
    const units = state.units ? `, ${whole(state.units)} unit(s)` : "";
    return `${PHASES[state.phase]}: ${state.status}${units}${state.reason ? `; ${state.reason}` : ""}`;
  };

  const holderOf = (lease, dagId) => {
    const run = `run ${lease.run_id}${lease.dag_id === dagId ? "" : ` of DAG ${lease.dag_id}`}`;
    return `Held by ${run} since ${when(lease.since)}, at most until ${when(lease.until)}`;
  };

  const queueOf = (now) => {
    if (!now.queue) return now.queue_problem;
    const {waiting, in_flight, oldest_seconds} = now.queue;
    const counts = `${whole(waiting)} waiting, ${whole(in_flight)} in flight`;
    if (!waiting) return counts;
    if (oldest_seconds !== null) return `${counts}; the oldest has waited ${waited(oldest_seconds)}`;
    return [counts, now.age_problem || "The age of the oldest message is not known: CloudWatch has no data point yet."];
  };

  const warningOf = (...words) => {
    const note = element("p", {className: "warning"}, [element("strong", {textContent: "Warning: "}), element("span", {}, words)]);
    note.setAttribute("role", "alert");
    return note;
  };

  const PERIODS = {max_cost_per_day: "day", max_cost_per_month: "month"};

  const costsOf = ({day, month, limits, problem}) => {
    if (problem) return problem;
    const budgets = limits.map(({option, scope, limit, spent, set_aside, left, ends_at}) => {
      const whose = `Budget of ${scope === "all" ? "all pipelines" : "this pipeline"} per ${PERIODS[option]}`;
      const aside = set_aside ? `, ${usd(set_aside)} set aside for models that are on` : "";
      const isUsedUp = left < 0.005;
      const rest = isUsedUp ? `nothing left until ${when(ends_at)}: no run starts the model` : `${usd(left)} left until ${when(ends_at)}`;
      return {text: `${whose}: ${usd(limit)}; ${usd(spent)} spent${aside}, ${rest}`, kind: isUsedUp ? "late" : ""};
    });
    return [`${usd(day)} today, ${usd(month)} this month`, ...budgets];
  };

  const nowOf = (now, dagId) => {
    const free = now.lease_problem ? "Which run holds the model is not known" : "No run holds the model";
    const held = now.lease ? holderOf(now.lease, dagId) : free;
    const isOn = now.state && !["off", "unusable"].includes(now.state.phase);
    const facts = [
      fact("Model", [now.state ? modelOf(now.state) : now.state_problem, held], isOn ? "on" : ""),
      fact("Queue", queueOf(now)),
    ];
    const dog = now.watchdog;
    const looked = dog.state ? `last run ${dog.state}, ${when(dog.ended_at)}` : dog.problem || "has not run yet";
    const acted = dog.acted.map((one) => `${one.stopped ? "stopped the model" : "removed the lease"} of run ${one.run_id}: ${one.why}`);
    if (dog.looks && !acted.length) acted.push(`nothing to do for this model in its last ${dog.looks === 1 ? "run" : `${dog.looks} runs`}`);
    facts.push(fact("Watchdog", [looked, ...acted], dog.state === "failed" ? "late" : ""));
    facts.push(fact("Cost", costsOf(now.costs), now.costs.problem ? "late" : ""));
    if (now.paused && !now.paused_why) facts.push(fact("DAG", "Paused: no run starts until somebody unpauses it", "late"));
    const parts = [element("dl", {className: "now"}, facts)];
    if (now.paused_why) parts.unshift(warningOf(`${now.paused_why} Until then the pictures wait in the queue.`));
    if (now.warning) parts.unshift(warningOf(now.warning));
    return parts;
  };

  const plotsOf = (rows) => {
    const runs = [...rows].reverse();
    const images = (run) => run.labelled + run.rejected;
    const made = [
      plots.plot("Pictures", runs, images, whole),
      plots.plot("Rejected", runs, (run) => images(run) ? run.rejected / images(run) : NaN, percent, "up"),
      plots.plot("Model minutes", runs, (run) => run.minutes ?? NaN, minutes),
      plots.plot("Cost", runs, (run) => run.cost_usd ?? NaN, usd),
      plots.plot("Cost per 1,000 pictures", runs, (run) => run.cost_per_1000_usd ?? NaN, usd, "up"),
      plots.plot("Use of the model", runs, (run) => run.use ?? NaN, percent, "down"),
    ];
    const totals = new Map();
    for (const run of runs) for (const [name, count] of Object.entries(run.labels)) totals.set(name, (totals.get(name) || 0) + count);
    const most = [...totals].sort((a, b) => b[1] - a[1]).slice(0, LABELS).map(([name]) => name);
    // a share of the labelled pictures, because a count would only follow the size of the run
    const share = (name) => (run) => run.labelled ? (run.labels[name] || 0) / run.labelled : NaN;
    made.push(...most.map((name) => plots.plot(`Label ${name}`, runs, share(name), percent)));
    return [
      element("p", {className: "quiet", textContent: "Each bar is a run, the oldest on the left. The number is that of the last run; the dashed line is the median. Labels are shown as a share of the labelled pictures."}),
      element("div", {className: "plots"}, made),
    ];
  };

  const stateOf = ({state, empty, over_budget, report, report_problem}) => {
    if (!report && over_budget) return `${state}: the budget is used up, nothing was started`;
    if (!report && empty) return `${state}: the queue was empty, nothing was started`;
    if (!report) return report_problem ? `${state}; ${report_problem}` : `${state}, no report`;
    return report.problems ? `${state}, ${whole(report.problems)} problem(s)` : state;
  };

  const linkTo = (dagId, text, parameters) => element("a", {
    textContent: text, href: `runs/${encodeURIComponent(dagId)}?${new URLSearchParams(parameters)}`,
  });

  // A warning if the newest run that has ended is red.
  const redOf = (dagId, runs) => {
    const last = runs.find((run) => ["success", "failed"].includes(run.state));
    if (last?.state !== "failed") return [];
    return [warningOf("The last run failed: ", linkTo(dagId, last.run_id, {run_id: last.run_id}), ". The cause is shown above the pictures of the run, and in the log of its task write_report.")];
  };

  const tableOf = (dagId, runs) => {
    const cell = (text, name = "") => element("td", {className: name, textContent: text});
    const number = (value, format) => cell(Number.isFinite(value) ? format(value) : "–", "number");
    const heads = ["Run", "State", "Labelled", "Rejected", "Model", "Cost", "Per 1,000", "Use"];
    const head = element("tr", {}, heads.map((text, index) => element("th", {scope: "col", textContent: text, className: index > 1 ? "number" : ""})));
    const lines = runs.map((run) => {
      const {run_id, report} = run;
      const one = report || {};
      const rejected = number(one.rejected, whole);
      if (one.rejected) rejected.replaceChildren(linkTo(dagId, whole(one.rejected), {run_id, show: "rejected"}));
      return element("tr", {}, [
        element("td", {}, [linkTo(dagId, run_id, {run_id})]), cell(stateOf(run)), number(one.labelled, whole), rejected, number(one.minutes, minutes),
        number(one.cost_usd, usd), number(one.cost_per_1000_usd, usd), number(one.use, percent),
      ]);
    });
    return element("table", {}, [element("thead", {}, [head]), element("tbody", {}, lines)]);
  };

  // For each section that is not loaded yet: the function that loads it.
  const unloaded = new Map();

  const loadSection = async (section) => {
    const load = unloaded.get(section);
    unloaded.delete(section);
    rest.hidden = rest.hidden || !unloaded.size;
    if (load) await load();
    section.classList.remove("unloaded");
  };

  const loadAll = () => [...unloaded.keys()].forEach(loadSection);

  // To load one pipeline takes dozens of S3 requests, so a section loads when it is half a screen away.
  const sight = window.IntersectionObserver && new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      sight.unobserve(entry.target);
      loadSection(entry.target);
    });
    rest.hidden = !unloaded.size;
  }, {rootMargin: "50% 0px"});

  const loadInSight = (section, load) => {
    unloaded.set(section, load);
    if (sight) sight.observe(section);
    else loadSection(section);
  };

  const tell = (place, error) => place.replaceChildren(element("p", {className: "problem", role: "alert", textContent: error.message}));

  const showPipeline = (pipeline) => {
    // With a link, the Tab key reaches the section: it comes into view and is loaded.
    const link = element("a", {textContent: pipeline.name || pipeline.dag_id, href: `#${encodeURIComponent(pipeline.dag_id)}`});
    const title = element("h2", {id: pipeline.dag_id}, [link]);
    const now = element("div", {}, [element("p", {className: "quiet", textContent: "Loading …"})]);
    const over = element("div");
    const base = `pipelines/${encodeURIComponent(pipeline.dag_id)}`;
    let runs = [];
    const load = async (before) => {
      const found = await ask(`${base}/runs${before ? `?${new URLSearchParams({before})}` : ""}`);
      runs = [...runs, ...found.runs];
      const rows = runs.filter((run) => run.report).map((run) => ({...run.report, at: `${run.run_id}, ${when(run.report.started_at)}`}));
      const parts = [...redOf(pipeline.dag_id, runs), ...plotsOf(rows)];
      const all = element("div", {className: "scroll", tabIndex: 0}, [tableOf(pipeline.dag_id, runs)]);
      all.setAttribute("role", "region");
      all.setAttribute("aria-label", "Runs, the newest first");
      parts.push(element("details", {open: rows.length < 12}, [element("summary", {textContent: `${runs.length} runs, ${rows.length} with a report, together ${usd(rows.reduce((sum, run) => sum + (run.cost_usd || 0), 0))}`}), all]));
      if (found.before) {
        const more = element("button", {type: "button", textContent: "Older runs"});
        more.addEventListener("click", () => { more.disabled = true; load(found.before).catch((error) => tell(over, error)); });
        parts.push(more);
      }
      over.replaceChildren(...parts);
    };
    const section = element("section", {className: "pipeline unloaded"}, [title, now, over]);
    document.getElementById("pipelines").append(section);
    loadInSight(section, () => Promise.all([
      ask(`${base}/now`).then((found) => now.replaceChildren(...nowOf(found, pipeline.dag_id)), (error) => tell(now, error)),
      load(null).catch((error) => tell(over, error)),
    ]));
  };

  const start = async () => {
    try {
      const found = await ask("pipelines");
      found.forEach(showPipeline);
      status.textContent = found.length ? "" : "There is no pipeline whose runs you may read.";
    } catch (error) {
      status.textContent = "";
      const problem = document.getElementById("problem");
      problem.hidden = false;
      problem.textContent = error.message;
    }
  };
  document.getElementById("all").addEventListener("click", loadAll);
  window.addEventListener("beforeprint", loadAll);
  start();
})();
