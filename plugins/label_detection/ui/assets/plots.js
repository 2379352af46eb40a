// Small plots of runs, the oldest on the left, with a comparison of the last runs with the runs before.
"use strict";
const plots = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 300;
  const HEIGHT = 80;
  // Number of last runs that are compared. At least as many runs must come before them.
  const LATELY = 5;

  const shape = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    return made;
  };

  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = Math.floor(sorted.length / 2);
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  };

  // Compares the median of the last runs with the median of all runs before. A change of more than 20 % can be worse.
  const trend = (values, format, worse) => {
    if (values.length < 2 * LATELY) return {text: values.length ? `median ${format(median(values))} of ${values.length} runs` : "no runs yet", bad: false};
    const before = median(values.slice(0, -LATELY));
    const lately = median(values.slice(-LATELY));
    const change = before ? lately / before - 1 : lately ? Infinity : 0;
    const bad = worse === "up" ? change > 0.2 : worse === "down" ? change < -0.2 : false;
    const by = Number.isFinite(change) ? `${change >= 0 ? "+" : "−"}${Math.abs(Math.round(change * 100))} %` : "was 0";
    return {text: `median of the last ${LATELY} runs ${format(lately)}, before ${format(before)} (${by})${bad ? ": worse" : ""}`, bad};
  };

  // `worse`: the direction that is a problem: "up", "down" or null. A run whose number is not known has no bar.
  const plot = (title, runs, number, format, worse = null) => {
    const known = runs.map((run) => ({run, value: number(run)}));
    const values = known.map((one) => one.value).filter((value) => Number.isFinite(value));
    const found = trend(values, format, worse);
    const top = Math.max(...values, 0) || 1;
    const step = WIDTH / Math.max(known.length, 12);
    const newest = known.length ? known[known.length - 1].value : NaN;
    const last = Number.isFinite(newest) ? format(newest) : "–";
    const svg = shape("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img"});
    svg.setAttribute("aria-label", `${title}: last ${last}; ${found.text}`);
    known.forEach(({run, value}, index) => {
      if (!Number.isFinite(value)) return;
      const high = Math.max(HEIGHT * value / top, value > 0 ? 1 : 0);
      const bar = shape("rect", {class: "bar", x: index * step, y: HEIGHT - high, width: step * 0.8, height: high});
      const hint = shape("title", {});
      hint.textContent = `${run.at}: ${format(value)}`;
      bar.append(hint);
      if (found.bad && index >= known.length - LATELY) bar.classList.add("bad");
      svg.append(bar);
    });
    if (values.length > 1) {
      const y = HEIGHT - HEIGHT * median(values) / top;
      svg.append(shape("line", {class: "middle", x1: 0, x2: WIDTH, y1: y, y2: y}));
    }
    const {element} = boxes;
    return element("figure", {className: "plot"}, [
      element("figcaption", {}, [element("span", {textContent: title}), element("strong", {textContent: last})]),
      svg,
      element("p", {className: found.bad ? "rejected" : "", textContent: found.text}),
    ]);
  };

  return {plot};
})();
