// A picture with the boxes of its labels. Names and keys come from outside: they are set as text, never as HTML.
"use strict";
const boxes = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = ["#ff5d5d", "#4da3ff", "#3ddc84", "#ffb02e", "#c77dff", "#2ee6d6", "#ff7ac6", "#d4e157"];

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // Colours by label name, in the order of first use. After eight names, the colours repeat.
  const met = new Map();
  const colour = (name) => {
    if (!met.has(name)) met.set(name, COLOURS[met.size % COLOURS.length]);
    return met.get(name);
  };

  const share = (confidence) => `${(Math.round(confidence * 10) / 10).toString()} %`;

  const words = (label) => `${label.name}, ${share(label.confidence)}`;

  const rectangle = (box, width, height, name, paint) => {
    const rect = document.createElementNS(SVG, "rect");
    const [left, top, wide, high] = box;
    for (const [key, value] of Object.entries({x: left * width, y: top * height, width: wide * width, height: high * height})) {
      rect.setAttribute(key, String(value));
    }
    rect.setAttribute("class", name);
    if (paint) rect.setAttribute("stroke", paint);
    return rect;
  };

  const isBox = (box) => Array.isArray(box) && box.length === 4 && box.every(Number.isFinite) && box[2] >= 0 && box[3] >= 0;

  // The overlay uses the picture's pixels as coordinates, and the browser fits it into the frame like the picture.
  const draw = (svg, width, height, labels) => {
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    labels.forEach((label, number) => {
      if (!isBox(label.box)) return;
      const group = document.createElementNS(SVG, "g");
      group.dataset.label = String(number);
      group.append(rectangle(label.box, width, height, "under"), rectangle(label.box, width, height, "over", colour(label.name)));
      svg.append(group);
    });
  };

  const describe = (image, labels) => {
    const code = image.error ? image.error.code : "reason not recorded";
    if (image.outcome === "rejected") return `${image.source}: rejected, ${code}`;
    if (image.outcome === "unreadable") return `${image.source}: refused by S3, ${code}`;
    if (image.outcome === "ignored") return `${image.source}: ignored, ${image.ignored || image.reason || "reason not recorded"}`;
    const found = labels.length ? labels.map(words).join("; ") : "no label found";
    return `${image.source}: ${found}`;
  };

  const picture = (image, labels, address, lazy) => {
    const frame = element("div", {className: "picture"});
    const missing = (text) => frame.replaceChildren(element("p", {className: "missing", textContent: text}));
    if (image.outcome === "unreadable") missing("Refused by S3: this object stays in the source bucket");
    else if (image.outcome === "ignored") missing("Ignored: no picture is kept");
    else if (!image.is_picture) missing(image.key ? "Not a picture of this pipeline" : "A message without a picture");
    if (frame.hasChildNodes()) return frame;
    const img = element("img", {alt: describe(image, labels), decoding: "async", loading: lazy ? "lazy" : "eager"});
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("aria-hidden", "true");
    img.addEventListener("load", () => draw(svg, img.naturalWidth, img.naturalHeight, labels));
    img.addEventListener("error", () => {
      missing(image.outcome === "rejected" ? "The browser cannot show this file" : "The picture cannot be shown. Was it deleted?");
    });
    img.src = address;
    frame.append(img, svg);
    return frame;
  };

  const chip = (label, tag = "span") => {
    const swatch = element("span", {className: isBox(label.box) ? "swatch" : "swatch whole"});
    swatch.style.background = isBox(label.box) ? colour(label.name) : "transparent";
    return element(tag, {className: "chip"}, [
      swatch, element("span", {textContent: String(label.name)}), element("span", {className: "share", textContent: share(label.confidence)}),
    ]);
  };

  const anomaly = (image) => {
    if (!image.anomaly) return null;
    const is = image.anomaly.IsAnomalous;
    return element("p", {
      className: is ? "outcome anomalous" : "outcome",
      textContent: `${is ? "Anomalous" : "Normal"}, ${share(Number(image.anomaly.Confidence))}`,
    });
  };

  const outcome = (image, labels) => {
    const error = image.error || {};
    const bad = {rejected: "Rejected", unreadable: "Refused by S3"}[image.outcome];
    if (bad) return element("p", {className: "outcome rejected", textContent: `${bad}: ${error.code}: ${error.message}`});
    if (image.outcome === "ignored") {
      return element("p", {className: "outcome", textContent: `Ignored: ${image.ignored || image.reason || "reason not recorded"}`});
    }
    return labels.length ? null : element("p", {className: "outcome", textContent: "No label found"});
  };

  return {anomaly, chip, describe, element, isBox, outcome, picture};
})();
