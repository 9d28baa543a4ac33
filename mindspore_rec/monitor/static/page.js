// Asks the server for its status once a second and shows the answer, or says since when there is none.

import { begin, fill, show } from "./figures.js";

const EVERY = 1000; // milliseconds
const PATIENCE = 2500; // silence longer than this is said
const GIVE_UP = 5000; // on one request
const KEY = "mindspore_rec token";
const element = (id) => document.getElementById(id);

let answeredAt = performance.now();
let answered = false;
let trouble = "";
let waitsForToken = false;
let asking = false;
let typedToken = ""; // where the browser keeps nothing
let timer = 0;

function keptToken() {
  try {
    return sessionStorage.getItem(KEY) ?? typedToken;
  } catch {
    return typedToken;
  }
}

function keep(token) {
  typedToken = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // storage is off in this browser: the token lives as long as the page
  }
}

function askForToken() {
  const refused = keptToken() !== "";
  keep("");
  waitsForToken = true;
  fill("access-words", refused ? "The server did not take this token." : "");
  element("access").hidden = false;
  element("token").focus();
}

// The server's clock; its answers are stamped to the second, so less than two apart is the same time.
function serverNow(response) {
  const stamped = Date.parse(response.headers.get("date") ?? "") / 1000;
  const here = Date.now() / 1000;
  return Number.isFinite(stamped) && Math.abs(stamped - here) > 2 ? stamped : here;
}

async function ask() {
  const token = keptToken();
  const headers = { Accept: "application/json", ...(token === "" ? {} : { Authorization: `Bearer ${token}` }) };
  const response = await fetch("v1/status", {
    headers,
    cache: "no-store",
    credentials: "omit", // else the browser opens a dialog of its own where the server also takes a password
    redirect: "error",
    signal: AbortSignal.timeout(GIVE_UP),
  });
  if (response.status === 401) {
    trouble = "it asks for an access token";
    askForToken();
    return;
  }
  if (!response.ok) {
    trouble = `it answers with status ${response.status}`;
    return;
  }
  const status = await response.json();
  if (status === null || typeof status !== "object") throw new SyntaxError("no object");
  show(status, serverNow(response));
  answered = true;
  trouble = "";
  answeredAt = performance.now();
  element("access").hidden = true;
}

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    await ask();
  } catch (error) {
    trouble = error instanceof SyntaxError ? "its answer is not understood" : "";
  }
  asking = false;
  sayWhetherItAnswers();
  if (!waitsForToken) timer = setTimeout(poll, EVERY);
}

function sayWhetherItAnswers() {
  const silent = performance.now() - answeredAt;
  const late = silent > PATIENCE;
  element("silence").hidden = !late;
  element("figures").classList.toggle("stale", late || !answered);
  if (!late) {
    fill("silence-words", "");
    return;
  }
  fill("silence-words", trouble === "" ? "No answer from the server" : `No figures from the server: ${trouble}`);
  fill("silence-since", `since ${Math.floor(silent / 1000)} s${answered ? "; the figures are those of then" : ""}`);
  document.title = "no answer";
}

element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(element("token").value.trim());
  element("token").value = "";
  waitsForToken = false;
  poll();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !waitsForToken) poll();
});
begin();
setInterval(sayWhetherItAnswers, 500);
poll();
