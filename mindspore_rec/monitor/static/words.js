// What the server says, in words. Nothing of it is trusted: a value of another type counts as unknown.

export const UNKNOWN = "\u2013";
const LONGEST = 400;

export const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
export const record = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
export const metric = (publication, name) => number(record(publication.metrics)[name]);

export function text(value) {
  const whole = typeof value === "string" ? value : "";
  return whole.length > LONGEST ? `${whole.slice(0, LONGEST)}\u2026` : whole;
}

export function figure(value, digits = 0) {
  if (value === null) return UNKNOWN;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const mib = (bytes) => figure(bytes === null ? null : bytes / 2 ** 20, 1);
export const milliseconds = (value) => (value === null ? UNKNOWN : `${figure(value, value < 100 ? 1 : 0)} ms`);

export function duration(seconds) {
  if (seconds === null) return UNKNOWN;
  const whole = Math.max(0, seconds);
  if (whole < 10) return `${whole.toFixed(1)} s`;
  if (whole < 120) return `${whole.toFixed(0)} s`;
  if (whole < 7200) return `${(whole / 60).toFixed(0)} min`;
  if (whole < 172800) return `${(whole / 3600).toFixed(0)} h`;
  return `${(whole / 86400).toFixed(0)} days`;
}

const two = (value) => String(value).padStart(2, "0");

export function clock(seconds, withSeconds = true) {
  const at = new Date(seconds * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}${withSeconds ? `:${two(at.getSeconds())}` : ""}`;
}

export function day(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

// The time of day; with the date where it is not that of `now`. Both in seconds since 1970.
export function moment(seconds, now) {
  if (seconds === null || !Number.isFinite(new Date(seconds * 1000).getTime())) return UNKNOWN;
  return day(seconds) === day(now) ? clock(seconds) : `${day(seconds)} ${clock(seconds)}`;
}

// The publications the server lists, oldest first; those without a version or a time are left out.
export function publicationsOf(status) {
  const listed = Array.isArray(status.publications) ? status.publications.map(record) : [];
  return listed.filter((entry) => number(entry.version) !== null && number(entry.created) !== null);
}

// The version that is served, {number, identity, step, ...}; nothing where there is none.
export function servedOf(status) {
  return record(status.version);
}

// Which version is served and why it is that one: {tone, label, words}.
export function standing(status, publications) {
  const served = number(servedOf(status).number);
  const newest = number(status.newest);
  const refused = text(status.refused);
  const why = refused === "" ? "" : ` Version ${figure(newest)} was refused: ${refused}`;
  if (served === null) {
    if (refused !== "") return { tone: "bad", label: "\u2716 refused", words: `No version is served.${why}` };
    return { tone: "wait", label: "\u231b waiting", words: "No version is served yet: there is no publication to serve." };
  }
  if (status.pinned === true) {
    return { tone: "pinned", label: "\u25a0 pinned", words: `Pinned to version ${served}: newer ones are not served.${why}` };
  }
  if (status.following !== true) {
    const words = `Rolled back: version ${served} is served until the server is told to follow again.${why}`;
    return { tone: "pinned", label: "\u25a0 not following", words };
  }
  if (refused !== "") {
    return { tone: "bad", label: "\u2716 refused", words: `${why.trim()} Version ${served} goes on being served.` };
  }
  if (newest !== null && newest > served) {
    const last = publications.find((entry) => entry.version === newest);
    const held = text(record(last).held);
    if (held === "") return { tone: "wait", label: "\u231b loading", words: `Following: version ${newest} comes next.` };
    const words = `Following: version ${newest} was held back by the trainer: ${held}`;
    return { tone: "bad", label: "\u270b held back", words };
  }
  return { tone: "good", label: "\u25cf following", words: `Version ${served} is the newest and is served.` };
}
