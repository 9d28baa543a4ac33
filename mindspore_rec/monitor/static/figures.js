// Puts a status into the page: figures, curves and tables. Every text goes in by textContent.

import { LineChart, mark, shape } from "./chart.js";
import * as words from "./words.js";

const SHOWN = 20; // publications in the table
const { figure, metric, number, record, text, UNKNOWN } = words;
const element = (id) => document.getElementById(id);

const CURVES = [
  [new LineChart("AUC", "of each publication", (v) => v.toFixed(4), 0.004), ["auc", "window_auc"]],
  [new LineChart("Log loss", "of each publication", (v) => v.toFixed(4), 0.01), ["log_loss", "window_log_loss"]],
  [
    new LineChart("Calibration", "clicks over predicted clicks of each publication", (v) => v.toFixed(3), 0.02, 1),
    ["calibration", "window_calibration"],
  ],
  [new LineChart("Throughput", "rows trained a second", (v) => `${figure(v)} rows/s`, 0.1), ["samples_per_s"]],
];
const SERIES = ["new rows: since the publication before", "window: the last rows of the trainer"];
const SHORT = ["new rows", "window"]; // the same, where there is little room

export function fill(id, words_) {
  const target = element(id);
  if (target.textContent !== words_) target.textContent = words_;
}

export function begin() {
  element("charts").append(...CURVES.map(([chart]) => chart.root));
  for (const [kind, label] of [[0, SERIES[0]], [1, SERIES[1]], ["held", "held back by the trainer"]]) {
    const entry = document.createElement("span");
    const sample = shape("svg", { width: 28, height: 12, "aria-hidden": "true" }, entry);
    if (kind !== "held") shape("path", { class: `line ${kind ? "second" : "first"}`, d: "M0 6H28" }, sample);
    mark(kind, 14, 6, 3, sample);
    entry.append(label);
    element("legend").append(entry);
  }
}

// status: the answer of v1/status. now: the server's time, seconds since 1970.
export function show(status, now) {
  const publications = words.publicationsOf(status);
  const last = publications.length ? publications[publications.length - 1] : {};
  const name = text(status.name) || "mindspore_rec";
  fill("name", name);
  const standing = words.standing(status, publications);
  element("standing-label").className = `label ${standing.tone}`;
  fill("standing-label", standing.label);
  fill("standing-words", standing.words);
  document.title = `${standing.label.replace(/^\S+ /, "")} \u2013 ${name}`;
  showServed(words.servedOf(status), number(status.loaded_at), publications, now);
  showTraining(last, now);
  const [p50, p99] = [number(status.click_to_servable_p50_s), number(status.click_to_servable_p99_s)];
  fill("freshness", p50 === null ? UNKNOWN : words.duration(p50));
  fill("freshness-more", p99 === null ? "not known yet" : `half of the rows; 99 of 100: ${words.duration(p99)}`);
  showRequests(record(status.requests));
  showCurves(publications, now);
  showPublications(publications, number(words.servedOf(status).number), now);
  showTables(record(status.tables), record(last.metrics));
}

function showServed(version, loadedAt, publications, now) {
  const served = number(version.number);
  fill("served", served === null ? "nothing yet" : `version ${served}`);
  const from = loadedAt === null || served === null ? "" : `since ${words.moment(loadedAt, now)} \u00b7 `;
  fill("served-more", served === null ? "" : `${from}step ${figure(number(version.step))}`);
  const until = number(version.data_time);
  const data = until === null ? "time of its data not known" : `data until ${words.moment(until / 1000, now)}`;
  fill("served-identity", served === null ? "" : `identity ${text(version.identity) || UNKNOWN}`);
  fill("served-data", served === null ? "" : until === null ? data : `${data}, ${words.duration(now - until / 1000)} ago`);
}

function showTraining(last, now) {
  const known = number(last.version) !== null;
  const rate = metric(last, "samples_per_s");
  fill("throughput", rate === null ? UNKNOWN : `${figure(rate)} rows/s`);
  const counts = ["trained", "rejected", "skipped"].map((name) => [name, metric(last, `rows_${name}`)]);
  const said = counts.filter(([, count]) => count !== null).map(([label, count]) => `${figure(count)} ${label}`);
  fill("throughput-more", said.join(" \u00b7 "));
  fill("trained-at", known ? `as of version ${last.version}, ${words.duration(now - last.created)} ago` : "no publication yet");
  const lag = metric(last, "lag_messages");
  fill("lag", lag === null ? UNKNOWN : `${figure(lag)} ${lag === 1 ? "message" : "messages"}`);
  const until = number(last.data_time);
  const behind = known && until !== null ? last.created - until / 1000 : null;
  fill("lag-more", behind === null ? "time behind the events not known" : `${words.duration(behind)} behind the events`);
}

function showRequests(requests) {
  const [rate, failed] = [number(requests.rate_per_s), number(requests.failed)];
  fill("requests", rate === null ? UNKNOWN : `${figure(rate, rate < 10 ? 1 : 0)} /s`);
  const times = [number(requests.p50_ms), number(requests.p99_ms)].map(words.milliseconds);
  fill("requests-more", number(requests.count) ? `p50 ${times[0]} \u00b7 p99 ${times[1]}` : "none yet");
  fill("requests-failed", number(requests.count) ? `${figure(failed)} of ${figure(number(requests.count))} failed` : "");
}

function showCurves(publications, now) {
  for (const [chart, names] of CURVES) {
    const points = publications.map((entry) => {
      const values = names.map((name) => metric(entry, name));
      const lines = values.map((value, series) => {
        const of = names.length > 1 ? `${SHORT[series]} ` : "";
        return value === null ? "" : `${of}${chart.format(value)}`;
      });
      const head = `version ${entry.version}, ${words.moment(entry.created, now)}`;
      const held = text(entry.held);
      const about = [head, ...lines, held && `held back: ${held}`].filter((line) => line !== "");
      return { time: entry.created, values, held: held !== "", words: about };
    });
    const none = publications.length ? `no publication has its ${chart.title.toLowerCase()}` : "no publication yet";
    chart.show(points, none);
  }
}

function fillRows(id, rows, emptyWords) {
  const table = element(id);
  table.hidden = rows.length === 0;
  fill(`${id}-empty`, rows.length ? "" : emptyWords);
  const signature = JSON.stringify(rows);
  if (table.dataset.signature === signature) return;
  table.dataset.signature = signature;
  table.tBodies[0].replaceChildren(
    ...rows.map(({ className, current, cells }) => {
      const row = document.createElement("tr");
      row.className = className ?? "";
      if (current) row.setAttribute("aria-current", "true");
      cells.forEach((content, column) => {
        const cell = row.insertCell();
        cell.className = table.tHead.rows[0].cells[column].className;
        cell.textContent = content;
      });
      return row;
    }),
  );
}

function showPublications(publications, served, now) {
  const rows = publications.slice(-SHOWN).reverse().map((entry) => {
    const held = text(entry.held);
    const auc = metric(entry, "auc");
    const calibration = metric(entry, "calibration");
    const current = entry.version === served;
    const state = [current ? "\u25c0 served" : "", held && `\u2716 held back: ${held}`].filter(Boolean).join(" ");
    const cells = [String(entry.version), text(entry.kind), words.moment(entry.created, now)];
    cells.push(figure(metric(entry, "rows")), words.mib(number(entry.bytes)), figure(auc, 4), figure(calibration, 3), state);
    return { className: `${current ? "served " : ""}${held ? "held-back" : ""}`, current, cells };
  });
  fillRows("publications", rows, "There is no publication yet: the trainer has not written one.");
}

function showTables(served, metrics) {
  const found = Object.keys(metrics).map((key) => /^table_(.+)_(?:rows|mib|evicted)$/.exec(key)?.[1]).filter(Boolean);
  const names = [...new Set([...Object.keys(served), ...found])].sort();
  const rows = names.map((name) => {
    const [held, size, evicted] = ["rows", "mib", "evicted"].map((what) => number(metrics[`table_${name}_${what}`]));
    return { cells: [text(name), figure(held), figure(number(served[name])), figure(size, 1), figure(evicted)] };
  });
  fillRows("tables", rows, "No table is known yet.");
}
