// The pictures of a run, one page at a time.
"use strict";
(() => {
  const {element} = boxes;
  const $ = (id) => document.getElementById(id);
  const runId = new URLSearchParams(location.search).get("run_id") || "";
  const dagId = decodeURIComponent(location.pathname.split("/").pop());
  const filters = $("filters");
  const state = {wanted: {}, cursor: null, before: [], images: [], next: null, open: null, asked: 0};

  // Relative to this page, because Airflow may be served under a path.
  const address = (name, parameters = {}) => {
    const url = new URL(`${location.pathname.split("/").pop()}/${name}`, location.href);
    url.search = new URLSearchParams({run_id: runId, ...parameters});
    return url;
  };

  // The filters in the form. They apply when the form is submitted.
  const wanted = () => {
    const given = Object.fromEntries(new FormData(filters));
    const parameters = {show: given.show};
    if (given.label) parameters.label = given.label;
    if (Number(given.least) > 0) parameters.least = given.least;
    if (given.most && Number(given.most) < 100) parameters.most = given.most;
    return parameters;
  };

  const shownLabels = (image) => {
    const least = Number(state.wanted.least) || 0;
    return image.labels.filter((label) => label.confidence >= least);
  };

  const pictureOf = (image, lazy) => boxes.picture(image, shownLabels(image), address("picture", {image: image.id}).href, lazy);

  const card = (image) => {
    const labels = shownLabels(image);
    const list = element("ul", {className: "labels"}, labels.slice(0, 6).map((label) => element("li", {}, [boxes.chip(label)])));
    const more = labels.length - 6 + image.more_labels;
    if (more > 0) list.append(element("li", {textContent: `and ${more} more`}));
    const words = [element("p", {className: "name", textContent: String(image.source), title: String(image.source)})];
    words.push(...[boxes.outcome(image, labels), boxes.anomaly(image)].filter(Boolean));
    if (labels.length) words.push(list);
    const button = element("button", {type: "button"}, [pictureOf(image, true), element("div", {className: "words"}, words)]);
    button.setAttribute("aria-label", boxes.describe(image, labels)); // else a screen reader reads all text inside the button
    button.addEventListener("click", () => open(image.id));
    const item = element("li", {}, [button]);
    item.dataset.image = image.id;
    return item;
  };

  const tell = (error) => {
    $("problem").hidden = !error;
    $("problem").textContent = error ? error.message : "";
  };

  const nothing = () => {
    const exact = state.wanted.label ? " The label must match exactly, with upper and lower case." : "";
    return `No picture of this run matches the filters.${exact}`;
  };

  const pageText = (page) => {
    const count = page.images.length;
    const what = state.wanted.show === "ignored" ? "ignored message" : "picture";
    let text = `${count} ${count === 1 ? what : `${what}s`}`;
    if (!count && !page.next && !state.cursor) {
      text = page.lines ? nothing() : "This run has no journal of pictures: it handled no picture, or has not handled one yet.";
    } else if (!count && !page.next) text = "No more pictures match the filters.";
    else if (page.next && page.lines <= 2 * count) text += "; more on the next page";
    else if (page.next) text += `; ${page.lines.toLocaleString("en")} lines of the journal were read, and more lines follow.`;
    if (page.unreadable) text += ` ${page.unreadable} lines of the journal could not be read.`;
    return text;
  };

  const load = async (cursor) => {
    const asked = ++state.asked;
    $("status").textContent = "Loading …";
    for (const id of ["first", "previous", "next"]) $(id).disabled = true;
    tell(null);
    try {
      const page = await ask(address("images", {...state.wanted, ...(cursor ? {cursor} : {})}));
      if (asked !== state.asked) return;
      Object.assign(state, {cursor, images: page.images, next: page.next});
      $("images").replaceChildren(...page.images.map(card));
      $("status").textContent = pageText(page);
      $("next").textContent = page.images.length || !page.next ? "Next page" : "Search further";
    } catch (error) {
      if (asked !== state.asked) return;
      $("images").replaceChildren();
      $("status").textContent = "";
      Object.assign(state, {cursor, images: [], next: null});
      tell(error);
    }
    $("first").disabled = !state.cursor;
    $("previous").disabled = !state.before.length;
    $("next").disabled = !state.next;
    remember();
  };

  const remember = () => {
    const parameters = new URLSearchParams({run_id: runId, ...state.wanted});
    if (state.cursor) parameters.set("cursor", state.cursor);
    history.replaceState(null, "", `?${parameters}${state.open ? `#image=${state.open}` : ""}`);
    try { // put this position into the address of Airflow's page around this one
      const outer = window.parent;
      if (outer === window) return;
      const hash = state.open ? `#image=${state.open}` : "";
      if (outer.location.hash !== hash) outer.history.replaceState(outer.history.state, "", outer.location.pathname + outer.location.search + hash);
    } catch {
      // not Airflow around this page
    }
  };

  const linked = () => {
    let hash = location.hash;
    try {
      hash = hash || window.parent.location.hash;
    } catch {
      // not Airflow around this page
    }
    return new URLSearchParams(hash.slice(1)).get("image");
  };

  const showLabels = (labels, frame) => {
    const items = labels.map((label, number) => {
      const chip = boxes.chip(label, "button");
      chip.type = "button";
      const only = (on) => {
        for (const group of frame.querySelectorAll("g")) group.classList.toggle("pale", on && group.dataset.label !== String(number));
      };
      for (const [on, off] of [["focus", "blur"], ["mouseenter", "mouseleave"]]) {
        chip.addEventListener(on, () => only(boxes.isBox(label.box)));
        chip.addEventListener(off, () => only(false));
      }
      return element("li", {}, [chip]);
    });
    $("large-labels").replaceChildren(...items);
  };

  const show = (image) => {
    const labels = shownLabels(image);
    const frame = pictureOf(image, false);
    $("large-name").textContent = $("large-name").title = String(image.source);
    $("large-picture").replaceChildren(frame);
    const facts = [boxes.outcome(image, labels), boxes.anomaly(image)].filter(Boolean).map((fact) => fact.textContent);
    $("large-outcome").textContent = [...facts, image.at ? `${facts.length ? "at" : "labelled at"} ${image.at}` : ""].filter(Boolean).join("; ");
    $("large-outcome").className = ["rejected", "unreadable"].includes(image.outcome) ? "rejected" : "quiet";
    showLabels(labels, frame);
    const number = state.images.findIndex((one) => one.id === image.id);
    $("large-previous").disabled = number <= 0;
    $("large-next").disabled = number < 0 || number === state.images.length - 1;
    if (document.activeElement.disabled) $("large-name").focus(); // else no key press reaches the dialog
  };

  const showNothing = () => {
    for (const part of ["large-name", "large-outcome"]) $(part).textContent = "";
    for (const part of ["large-picture", "large-labels"]) $(part).replaceChildren();
    $("large-previous").disabled = $("large-next").disabled = true;
  };

  const open = async (id) => {
    state.open = id;
    const known = state.images.find((image) => image.id === id);
    $("large-document").textContent = "";
    $("large-problem").hidden = false;
    $("large-problem").textContent = "Loading …";
    $("large-link").href = `?${new URLSearchParams({run_id: runId})}#image=${id}`;
    if (known) show(known);
    else showNothing();
    if (!$("large").open) $("large").showModal();
    remember();
    try {
      const found = await ask(address("image", {image: id}));
      if (state.open !== id) return;
      if (!known) show(found.image);
      $("large-problem").hidden = !found.problem;
      $("large-problem").textContent = found.problem || "";
      $("large-document").textContent = found.document ? JSON.stringify(found.document, null, 2) : "";
    } catch (error) {
      if (state.open === id) $("large-problem").textContent = error.message;
    }
    $("large-document").hidden = !$("large-document").textContent;
  };

  const step = (by) => {
    const image = state.images[state.images.findIndex((one) => one.id === state.open) + by];
    if (image && state.images.some((one) => one.id === state.open)) open(image.id);
  };

  const closed = () => {
    const item = [...$("images").children].find((one) => one.dataset.image === state.open);
    state.open = null;
    remember();
    if (item) item.firstElementChild.focus();
  };

  // One line about the run, from its report.
  const inShort = (found) => {
    const counts = Object.entries(found.images || {}).filter(([, count]) => count);
    const model = found.model || {};
    const number = (value, words) => Number.isFinite(value) ? [words(value)] : [];
    return [
      counts.map(([outcome, count]) => `${count.toLocaleString("en")} ${outcome}`).join(", ") || "no pictures",
      ...number(model.minutes, (value) => `model on for ${value.toFixed(1)} min`),
      ...number(model.cost_usd, (value) => `about ${value.toFixed(2)} USD`),
      ...number(model.cost_per_1000_usd, (value) => `${value.toFixed(2)} USD per 1,000 pictures`),
      ...number(model.use, (value) => `the model was busy for ${(100 * value).toFixed(0)} % of the time`),
    ].join("; ");
  };

  const summary = async () => {
    let found;
    try {
      found = await ask(address("summary"));
    } catch {
      $("counts").textContent = `Run ${runId} of ${dagId}`; // the request for the pictures shows the error
      return;
    }
    $("counts").textContent = `Run ${runId} of ${dagId}: ${found ? inShort(found) : "no report. The run has not ended, or it found the queue empty, or someone ended it manually"}`;
    if (!found) return;
    $("labels").replaceChildren(...found.labels.map(([name, count]) => element("option", {value: name, label: `${name} (${count})`})));
    const lines = [...(found.problems || []), ...(found.warnings || [])];
    $("problems").replaceChildren(...lines.map((line) => element("li", {textContent: String(line)})));
    $("problems").hidden = !lines.length;
    $("report").href = address("report").href;
    $("report").hidden = false;
  };

  const start = () => {
    const parameters = new URLSearchParams(location.search);
    for (const name of ["show", "label", "least", "most"]) if (parameters.has(name)) filters[name].value = parameters.get(name);
    if (!filters.show.value) filters.show.value = "all";
    if (!runId) {
      tell(new Error("The address of this page names no run: it must end in ?run_id= and a run id. Open the page from the tab of a run in Airflow."));
      return;
    }
    state.wanted = wanted();
    const first = linked();
    const loaded = load(parameters.get("cursor"));
    summary();
    if (first) loaded.then(() => open(first));
  };

  const filter = () => { Object.assign(state, {wanted: wanted(), before: []}); load(null); };
  filters.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  filters.show.addEventListener("change", filter);
  $("clear").addEventListener("click", () => { filters.reset(); filter(); });
  // The clicked button may be disabled on the new page, so the focus moves to the first picture.
  const turn = async (cursor) => {
    const asked = state.asked + 1;
    await load(cursor);
    if (asked !== state.asked) return;
    scrollTo(0, 0);
    const first = $("images").querySelector("button") || [$("next"), $("first")].find((button) => !button.disabled);
    if (first) first.focus({preventScroll: true});
  };
  $("next").addEventListener("click", () => { state.before.push(state.cursor); turn(state.next); });
  $("previous").addEventListener("click", () => turn(state.before.pop()));
  $("first").addEventListener("click", () => { state.before = []; turn(null); });
  $("close").addEventListener("click", () => $("large").close());
  $("large-previous").addEventListener("click", () => step(-1));
  $("large-next").addEventListener("click", () => step(1));
  $("large").addEventListener("close", closed);
  // A dialog keeps the focus off this page only. In a frame, the Tab key would move on to Airflow's page around it.
  const keepFocus = (event) => {
    const stops = [...$("large").querySelectorAll("button:enabled, a, pre:not([hidden])")];
    const [end, other] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
    if (document.activeElement !== end && !(event.shiftKey && document.activeElement === $("large-name"))) return;
    event.preventDefault();
    other.focus();
  };
  $("large").addEventListener("keydown", (event) => {
    if (event.key === "Tab") keepFocus(event);
    if (event.target.closest("pre, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  start();
})();
