// A line chart over time in SVG. Points can be read with the mouse and with the arrow keys.

import { clock, day } from "./words.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 170;
const MARGIN = { left: 52, right: 12, top: 8, bottom: 20 };
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

export function shape(name, attributes, parent) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

// The mark of series 0 (a dot), of series 1 (a square), or of a publication that was held back (a cross).
export function mark(kind, x, y, size, parent) {
  if (kind === 0) return shape("circle", { class: "point first", cx: x, cy: y, r: size }, parent);
  if (kind === 1) {
    return shape("rect", { class: "point second", x: x - size, y: y - size, width: 2 * size, height: 2 * size }, parent);
  }
  const d = `M${x - 5} ${y - 5}L${x + 5} ${y + 5}M${x - 5} ${y + 5}L${x + 5} ${y - 5}`;
  return shape("path", { class: "held", d }, parent);
}

function niceStep(span, count) {
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw * 0.999);
}

function valueScale(values, floor) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const least = floor * Math.max(1e-9, Math.abs(high));
  if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
  const step = niceStep(high - low, 3);
  const bounds = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  const ticks = [];
  for (let k = 0; k <= Math.round((bounds[1] - bounds[0]) / step); k += 1) ticks.push(bounds[0] + k * step);
  return { low: bounds[0], high: bounds[1], ticks, digits: Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)) };
}

function timeTicks(low, high, count) {
  const wanted = (high - low) / Math.max(1, count);
  const step = TIME_STEPS.find((candidate) => candidate >= wanted) ?? Math.ceil(wanted / 86400) * 86400;
  const zone = new Date(low * 1000).getTimezoneOffset() * 60; // ticks are round in local time
  const ticks = [];
  for (let at = Math.ceil((low - zone) / step) * step + zone; at <= high; at += step) ticks.push(at);
  return ticks.map((at) => ({ at, label: step >= 86400 ? day(at).slice(5) : clock(at, step < 60) }));
}

export class LineChart {
  // title: of the figure. about: what the values are. format: of a value, in words. floor: the least span of the
  // axis as a share of the greatest value. reference: a value that has a line of its own, or null.
  constructor(title, about, format, floor, reference = null) {
    Object.assign(this, { title, format, floor, reference, points: [], chosen: null, signature: "" });
    this.root = document.createElement("figure");
    this.root.className = "chart";
    const caption = document.createElement("figcaption");
    const latest = document.createElement("span");
    caption.append(title, latest);
    this.latest = latest;
    this.plot = document.createElement("div");
    this.plot.className = "plot";
    this.plot.setAttribute("role", "slider"); // arrow keys go through the points, each is read out
    this.plot.setAttribute("aria-label", `${title}, ${about}`);
    this.plot.tabIndex = 0;
    this.svg = shape("svg", { "aria-hidden": "true" }, this.plot);
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.plot.append(this.tip);
    this.empty = document.createElement("p");
    this.empty.className = "empty";
    this.root.append(caption, this.plot, this.empty);
    this.plot.addEventListener("pointermove", (event) => this.#pointed(event));
    this.plot.addEventListener("pointerleave", () => this.#choose(null));
    this.plot.addEventListener("focus", () => this.#choose(this.chosen ?? this.points.length - 1));
    this.plot.addEventListener("blur", () => this.#choose(null));
    this.plot.addEventListener("keydown", (event) => this.#keyed(event));
    new ResizeObserver(() => this.#draw()).observe(this.root);
  }

  // points: [{time: seconds since 1970, values: [number | null, ...], held, words: [line of text, ...]}], oldest first.
  show(points, emptyWords) {
    const known = points.filter((point) => point.values.some((value) => value !== null));
    const signature = JSON.stringify([known.length, known[0], known[known.length - 1]]);
    if (signature === this.signature) return;
    const chosenTime = this.chosen === null ? null : this.points[this.chosen]?.time;
    this.signature = signature;
    this.points = known;
    this.empty.hidden = known.length > 0;
    this.plot.hidden = known.length === 0;
    this.empty.textContent = emptyWords;
    const newest = known.length ? known[known.length - 1].values.find((value) => value !== null) : null;
    this.latest.textContent = newest === null ? "" : this.format(newest);
    this.#draw();
    const again = chosenTime === null ? -1 : known.findIndex((point) => point.time === chosenTime);
    this.#choose(again < 0 ? null : again);
  }

  #draw() {
    const width = this.plot.clientWidth;
    if (width < MARGIN.left + MARGIN.right + 20 || this.points.length === 0) return;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const values = this.points.flatMap((point) => point.values.filter((value) => value !== null));
    if (this.reference !== null) values.push(this.reference);
    const scale = valueScale(values, this.floor);
    let [from, to] = [this.points[0].time, this.points[this.points.length - 1].time];
    if (to - from < 2) [from, to] = [from - 1, to + 1];
    this.x = (time) => MARGIN.left + ((time - from) / (to - from)) * (width - MARGIN.left - MARGIN.right);
    this.y = (value) =>
      HEIGHT - MARGIN.bottom - ((value - scale.low) / (scale.high - scale.low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.#axes(scale, timeTicks(from, to, (width - MARGIN.left) / 64), width);
    for (let series = this.points[0].values.length - 1; series >= 0; series -= 1) this.#line(series);
    for (const point of this.points.filter((candidate) => candidate.held)) {
      const value = point.values.find((candidate) => candidate !== null);
      mark("held", this.x(point.time), this.y(value), 5, this.svg);
    }
    this.cursor = shape("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }, this.svg);
    this.#choose(this.chosen);
  }

  #axes(scale, times, width) {
    for (const tick of scale.ticks) {
      const y = this.y(tick);
      shape("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }, this.svg);
      const label = shape("text", { class: "axis-text", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, this.svg);
      label.textContent = tick.toLocaleString("en-US", {
        minimumFractionDigits: scale.digits,
        maximumFractionDigits: scale.digits,
      });
    }
    for (const { at, label } of times) {
      const x = this.x(at);
      shape("line", { class: "axis", x1: x, x2: x, y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom + 4 }, this.svg);
      const anchor = x > width - 30 ? "end" : "middle";
      shape("text", { class: "axis-text", x, y: HEIGHT - 4, "text-anchor": anchor }, this.svg).textContent = label;
    }
    if (this.reference !== null) {
      const y = this.y(this.reference);
      shape("line", { class: "reference", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }, this.svg);
    }
  }

  #line(series) {
    const name = series === 0 ? "first" : "second";
    let d = "";
    let pen = "M"; // an unknown value is a gap
    for (const point of this.points) {
      const value = point.values[series];
      if (value !== null) d += `${pen}${this.x(point.time).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = value === null ? "M" : "L";
    }
    shape("path", { class: `line ${name}`, d }, this.svg);
    const size = this.points.length > 60 ? 1.25 : 2.5;
    for (const point of this.points) {
      const value = point.values[series];
      if (value !== null) mark(series, this.x(point.time), this.y(value), size, this.svg);
    }
  }

  #choose(index) {
    const point = index === null ? undefined : this.points[index];
    this.chosen = point ? index : null;
    this.tip.hidden = !point;
    if (this.cursor) this.cursor.setAttribute("visibility", point ? "visible" : "hidden");
    const last = this.points.length - 1;
    const read = point ?? this.points[last];
    this.plot.setAttribute("aria-valuemin", "0");
    this.plot.setAttribute("aria-valuemax", String(Math.max(0, last)));
    this.plot.setAttribute("aria-valuenow", String(point ? index : Math.max(0, last)));
    this.plot.setAttribute("aria-valuetext", read ? read.words.join(", ") : "");
    if (!point || !this.x) return;
    const x = this.x(point.time);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.tip.replaceChildren(
      ...point.words.map((words) => {
        const line = document.createElement("div");
        line.textContent = words;
        return line;
      }),
    );
    const right = x < this.plot.clientWidth / 2;
    this.tip.style.left = right ? `${x + 8}px` : "auto";
    this.tip.style.right = right ? "auto" : `${this.plot.clientWidth - x + 8}px`;
  }

  #pointed(event) {
    if (!this.x) return;
    const at = event.clientX - this.plot.getBoundingClientRect().left;
    const distances = this.points.map((point) => Math.abs(this.x(point.time) - at));
    this.#choose(distances.indexOf(Math.min(...distances)));
  }

  #keyed(event) {
    const last = this.points.length - 1;
    const now = this.chosen ?? last;
    const moves = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last };
    if (event.key === "Escape") this.#choose(null);
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#choose(Math.min(last, Math.max(0, moves[event.key])));
  }
}
