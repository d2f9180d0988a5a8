// The board: the worklist as it moves. The model is a map of what was heard; once per frame, what
// changed is drawn, and of each column only as far as somebody has scrolled.

import { openDrawer, refreshDrawer } from "./board-drawer.js";
import { follow } from "./upsrs.js";

const board = document.getElementById("ups-board");
const form = document.getElementById("ups-filters");
const template = document.getElementById("ups-card").content.firstElementChild;

const FIRST_CARDS = 60;
const MORE_CARDS = 100;
const KEEP_FINISHED = 100;
const NEWS_SECONDS = 5;
const TICK_SECONDS = 20;
const TYPING_MS = 400;
const COLUMN = { SCHEDULED: "scheduled", "IN PROGRESS": "in-progress", COMPLETED: "finished", CANCELED: "finished" };
const URGENT = new Set(["HIGH", "STAT"]);

// ---- The model -------------------------------------------------------------------------------

const items = new Map(); // workitem UID → what is known of it
const columns = new Map(
  [...board.querySelectorAll(".ups-column")].map((section) => {
    const column = { name: section.dataset.column, section, limit: FIRST_CARDS, items: new Set(), isDirty: true };
    column.list = section.querySelector(".ups-cards");
    column.nothing = section.querySelector(".ups-nothing");
    column.isEmpty = column.nothing.textContent;
    column.count = section.querySelector(".ups-count");
    column.tab = board.querySelector(`.ups-tabs [data-column="${column.name}"]`);
    return [column.name, column];
  }),
);
let hasState = false; // was the present state told?
let filter = {};

function take(message, isNews) {
  const { workitemUID: uid, procedureStepState: state, workitem = {} } = message;
  const known = items.get(uid);
  if (!COLUMN[state] || !isWanted(workitem)) return remove(uid); // it left our sight, or the filter
  if (known && message.report && COLUMN[known.state] === "finished") return; // that is for good
  const item = known ?? { uid };
  const column = columns.get(COLUMN[state]);
  if (item.column !== column) {
    leave(item);
    item.column = column;
    column.items.add(item);
    item.endedAt = column.name === "finished" ? Date.parse(message.eventTime) : 0;
  }
  const hasMoved = isNews && item.state !== state;
  if (item.state !== state) item.asked = undefined;
  // It stands until the performer has ended the work, whatever else is told meanwhile.
  if (state === "IN PROGRESS") item.asked = message.cancellationReason ?? item.asked;
  Object.assign(item, { state, message, workitem, isChanged: true, isFlashing: isNews });
  item.startsAt = Date.parse(workitem.scheduledProcedureStepStartDateTime);
  item.expectedAt = Date.parse(workitem.expectedCompletionDateTime);
  item.isUrgent = URGENT.has(workitem.scheduledProcedureStepPriority);
  items.set(uid, item);
  if (hasMoved) note(item, message.eventType);
  suggest(workitem);
  markDirty(column);
  if (isNews) refreshDrawer(uid);
}

function leave(item) {
  if (!item.column) return;
  item.column.items.delete(item);
  markDirty(item.column);
}

function remove(uid) {
  const item = items.get(uid);
  if (!item) return;
  leave(item);
  items.delete(uid);
}

function replaceState(reports) {
  const told = new Set(reports.map(({ workitemUID }) => workitemUID));
  for (const { uid, column } of [...items.values()]) {
    if (column.name !== "finished" && !told.has(uid)) remove(uid); // it went while we were away
  }
  for (const report of reports) take(report, false);
  hasState = true;
  columns.forEach(markDirty); // also those that stay empty: now they say so
  fetchMore();
}

const PARTS = {
  label: ({ worklistLabel = "" }) => [worklistLabel],
  station: ({ scheduledStationAETitle = "" }) => scheduledStationAETitle.split("\\"),
  performer: ({ performerAETitle = "" }) => performerAETitle.split("\\"),
  priority: ({ scheduledProcedureStepPriority = "" }) => [scheduledProcedureStepPriority],
};
const FIELDS = {
  label: "worklistLabel",
  station: "scheduledStationAETitle",
  performer: "performerAETitle",
  priority: "ScheduledProcedureStepPriority",
};

/** Whoever leaves what we follow is told to us one last time: is it still what we follow? */
const isWanted = (workitem) =>
  Object.entries(filter).every(([name, { pattern }]) => PARTS[name](workitem).some((value) => pattern.test(value)));

const asPattern = (text) =>
  new RegExp(`^${text.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");

// ---- Drawing ---------------------------------------------------------------------------------

let isFrameDue = false;

function markDirty(column) {
  if (column) column.isDirty = true;
  if (isFrameDue) return;
  isFrameDue = true;
  // A page that nobody looks at has no frames.
  if (document.hidden) setTimeout(draw, 1000);
  else requestAnimationFrame(draw);
}

function draw() {
  isFrameDue = false;
  for (const column of columns.values()) {
    if (column.isDirty) drawColumn(column);
  }
  drawCounts();
}

const inOrder = (a, b) =>
  b.endedAt - a.endedAt || b.isUrgent - a.isUrgent || a.startsAt - b.startsAt || (a.uid < b.uid ? -1 : 1);

function drawColumn(column) {
  column.isDirty = false;
  const sorted = [...column.items].sort(inOrder);
  if (column.name === "finished") {
    for (const item of sorted.splice(KEEP_FINISHED)) remove(item.uid);
    column.isDirty = false;
  }
  const shown = sorted.slice(0, column.limit);
  const wanted = new Set(shown.map((item) => (item.element ??= card(item))));
  const focused = column.list.contains(document.activeElement) ? document.activeElement : null;
  for (const element of [...column.list.children]) {
    if (!wanted.has(element)) element.remove();
  }
  let next = column.list.firstElementChild;
  for (const item of shown) {
    if (item.isChanged) fill(item);
    if (item.element === next) next = next.nextElementSibling;
    else if (next && item.element === next.nextElementSibling) {
      const displaced = next; // it comes again further down
      next = item.element.nextElementSibling;
      displaced.remove();
    } else column.list.insertBefore(item.element, next);
  }
  if (focused && document.activeElement !== focused && focused.isConnected) focused.focus();
  column.section.querySelector(".ups-more").hidden = sorted.length <= column.limit;
  column.nothing.hidden = sorted.length > 0 || !hasState;
  write(column.nothing, Object.keys(filter).length ? "Nothing matches the filters." : column.isEmpty);
}

function drawCounts() {
  if (!hasState) return;
  board.querySelector("#ups-columns").setAttribute("aria-busy", "false");
  for (const { name, items: members, count, tab } of columns.values()) {
    const number = name === "finished" && members.size === KEEP_FINISHED ? `${KEEP_FINISHED}+` : `${members.size}`;
    write(count, number);
    write(tab.querySelector(".ups-count"), number);
    count.setAttribute("aria-label", `${number} workitems`);
  }
  const open = [...columns.get("scheduled").items, ...columns.get("in-progress").items];
  stand("urgent", open.filter((item) => item.isUrgent).length);
  stand("late", open.filter(isLate).length);
  document.title = `(${columns.get("scheduled").items.size}) ${title}`;
}

function stand(name, number) {
  const entry = board.querySelector(`#ups-attention [data-name="${name}"]`);
  write(entry.querySelector("b"), `${number}`);
  entry.hidden = number === 0;
}

const { title } = document;

function write(element, text = "") {
  if (element.textContent !== text) element.textContent = text;
}

// ---- One card --------------------------------------------------------------------------------

const { zone } = board.dataset;
const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "short" });

function when(instant) {
  if (Number.isNaN(instant)) return "";
  return (day.format(instant) === day.format(Date.now()) ? timeOfDay : dayAndTime).format(instant);
}

function duration(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

const dueAt = (item) => (item.state === "SCHEDULED" ? item.startsAt : item.state === "IN PROGRESS" ? item.expectedAt : NaN);
const isLate = (item) => Date.now() - dueAt(item) >= 60_000;

function card(item) {
  const element = template.cloneNode(true);
  element.dataset.uid = item.uid;
  const link = element.querySelector(".ups-card-title");
  link.href = board.dataset.workitem.replace("UID", item.uid);
  item.isChanged = true;
  item.parts = Object.fromEntries(
    ["title", "priority", "subject", "work", "outcome", "reason", "when", "label", "station", "performer"].map((name) => [
      name,
      element.querySelector(name === "title" ? ".ups-card-title" : `.ups-${name}`),
    ]),
  );
  return element;
}

function fill(item) {
  item.isChanged = false;
  const { element, parts, state, workitem, message } = item;
  const step = workitem.procedureStepLabel || workitem.scheduledProcedureStepDescription || "Workitem";
  const progress = message.progressInformation ?? {};
  const priority = workitem.scheduledProcedureStepPriority ?? "";
  Object.assign(element.dataset, { state, urgent: item.isUrgent, late: isLate(item) });
  write(parts.title, step);
  put(parts.subject, subject(workitem, step));
  put(parts.priority, priority === "MEDIUM" ? "" : priority.toLowerCase(), item.isUrgent ? "urgent" : "low");
  fillWork(parts.work, state, progress);
  const outcome = { COMPLETED: "Completed", CANCELED: "Canceled" }[state];
  put(parts.outcome, outcome ? `${outcome} ${when(item.endedAt)}` : "", state === "CANCELED" ? "canceled" : "finished");
  const asked = item.asked !== undefined && `Asked to cancel: ${item.asked || "no reason given"}`;
  put(parts.reason, asked || message.cancellationReason);
  fillWhen(parts.when, item);
  put(parts.label, workitem.worklistLabel);
  put(parts.station, workitem.scheduledStationAETitle?.replaceAll("\\", ", "));
  put(parts.performer, workitem.performerAETitle?.replaceAll("\\", ", "));
  if (item.isFlashing) flash(element);
  item.isFlashing = false;
}

function subject(workitem, step) {
  const described = workitem.scheduledProcedureStepDescription ?? "";
  const [request = {}] = workitem.referencedRequestSequence ?? [];
  const more = described.replace(step, "").replace(/^[:\s–-]+/, "") || request.requestedProcedureDescription;
  return [more, request.accessionNumber && `No. ${request.accessionNumber}`].filter(Boolean).join(" · ");
}

/** The last <span> of a part has its text; a part without text is not there. */
function put(part, text = "", icon = "") {
  part.hidden = !text;
  const spans = part.querySelectorAll("span");
  write(spans.length ? spans[spans.length - 1] : part, text);
  if (icon) setIcon(part, icon);
}

function setIcon(part, name) {
  const use = part.querySelector("use");
  if (use.getAttribute("href") !== `#ups-${name}`) use.setAttribute("href", `#ups-${name}`);
}

function fillWork(part, state, { procedureStepProgress: percent, procedureStepProgressDescription: doing }) {
  part.hidden = state !== "IN PROGRESS";
  if (part.hidden) return;
  const bar = part.querySelector("progress");
  if (percent === undefined) bar.removeAttribute("value");
  else bar.value = percent;
  const told = [percent === undefined ? "" : `${Math.round(percent)} %`, doing].filter(Boolean).join(" · ");
  write(part.querySelector("span"), told || "No progress reported yet");
}

function fillWhen(part, item) {
  const time = part.querySelector("time");
  part.hidden = Number.isNaN(item.startsAt);
  time.dateTime = item.workitem.scheduledProcedureStepStartDateTime ?? "";
  write(time, when(item.startsAt));
  const late = isLate(item);
  setIcon(part, late ? "late" : "scheduled");
  const overdue = item.state === "SCHEDULED" ? "late" : "over time";
  write(part.querySelector(".ups-lateness"), late ? `${duration(Date.now() - dueAt(item))} ${overdue}` : "");
}

function flash(element) {
  if (document.hidden) return;
  element.classList.remove("ups-flash");
  requestAnimationFrame(() => element.classList.add("ups-flash"));
}

// ---- The line --------------------------------------------------------------------------------

const line = document.getElementById("ups-line");
const notice = document.getElementById("ups-notice");
let following = null;
let liveUntil = 0; // when the line was last known to be good

function begin() {
  following?.unsubscribe();
  filter = {};
  const asked = {};
  for (const [name, field] of Object.entries(FIELDS)) {
    const text = form.elements[name].value.trim();
    if (text) filter[name] = { pattern: asPattern(text), text };
    if (text) asked[field] = text;
  }
  for (const uid of [...items.keys()]) remove(uid);
  for (const column of columns.values()) column.limit = FIRST_CARDS;
  hasState = false;
  board.querySelector("#ups-columns").setAttribute("aria-busy", "true");
  const mine = (following = follow(board.dataset.service, { filter: asked }));
  const heed = (type, react) => mine.addEventListener(type, ({ detail }) => mine === following && react(detail));
  heed("state", replaceState);
  heed("notification", (message) => take(message, true));
  heed("line", showLine);
}

function showLine({ state, reason, detail }) {
  const wasLive = line.dataset.state === "live";
  line.dataset.state = state;
  if (state === "live") liveUntil = 0;
  else if (wasLive) liveUntil = Date.now();
  const since = liveUntil ? ` Not live since ${timeOfDay.format(liveUntil)}.` : "";
  write(line.firstElementChild, state === "waiting" ? `${detail}${since}` : state === "stopped" ? "Not live" : detail);
  notice.hidden = state !== "stopped";
  if (state !== "stopped") return;
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = reason === "login" ? "Log in again" : "Try again";
  notice.replaceChildren(`${detail}${since} What you see may be outdated. `, link);
}

/** What the socket does not tell of the present state: what is finished, who was asked to cancel. */
function fetchMore() {
  const mine = following;
  ask(`${board.dataset.finished}?${query()}`, mine, ({ workitems }) => {
    for (const report of workitems) take(report, false);
  });
  ask(board.dataset.asked, mine, ({ reasons }) => {
    for (const [uid, reason] of Object.entries(reasons)) {
      const item = items.get(uid);
      if (item?.state !== "IN PROGRESS" || item.asked !== undefined) continue;
      Object.assign(item, { asked: reason, isChanged: true });
      markDirty(item.column);
    }
  });
}

async function ask(address, mine, react) {
  try {
    const answer = await fetch(address, { headers: { "X-Requested-With": "upsrs-board" } });
    const told = answer.ok && (await answer.json());
    if (told && mine === following) react(told);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // no answer: the line says so, and comes back
  }
}

// ---- Filters and views, kept in the address --------------------------------------------------

function query() {
  const data = [...new FormData(form)].map(([name, text]) => [name, text.trim()]);
  return new URLSearchParams(data.filter(([name, text]) => text && !(name === "view" && text === "columns")));
}

function remember() {
  const asked = `${query()}`;
  history.replaceState(null, "", asked ? `?${asked}` : location.pathname);
  board.dataset.view = form.elements.view.value;
}

const box = document.getElementById("ups-filter-box");
const isSmall = matchMedia("(max-width: 52rem)");

/** On a small screen the filters are folded away; elsewhere there is no handle to unfold them. */
const fold = () => (box.open = !isSmall.matches);
isSmall.addEventListener("change", fold);
fold();

let typing;
let asked = "";

function refilter() {
  clearTimeout(typing);
  remember();
  const wanted = JSON.stringify(Object.keys(FIELDS).map((name) => form.elements[name].value.trim()));
  if (wanted === asked) return;
  asked = wanted;
  begin();
}

form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(refilter, TYPING_MS);
});
form.addEventListener("change", refilter);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  refilter();
});
form.addEventListener("reset", (event) => {
  event.preventDefault(); // to empty, not to what the page came with
  for (const name of Object.keys(FIELDS)) form.elements[name].value = "";
  refilter();
});

const suggestions = { label: "ups-labels", station: "ups-stations", performer: "ups-performers" };
const suggested = new Set();

function suggest(workitem) {
  for (const [name, id] of Object.entries(suggestions)) {
    for (const value of PARTS[name](workitem)) {
      if (!value || suggested.has(name + value)) continue;
      suggested.add(name + value);
      document.getElementById(id).append(new Option(value, value));
    }
  }
}

// ---- News for those who listen ---------------------------------------------------------------

const news = { CREATED: 0, STATE_REPORT: 0, COMPLETED: 0, CANCELED: 0, urgent: new Set() };
const WORDS = { CREATED: "new", STATE_REPORT: "claimed", COMPLETED: "completed", CANCELED: "canceled" };
let newsTimer = null;

function note(item, eventType) {
  if (!(eventType in WORDS)) return;
  news[eventType] += 1;
  if (item.isUrgent && eventType === "CREATED") news.urgent.add(item.workitem.procedureStepLabel ?? "workitem");
  newsTimer ??= setTimeout(announce, NEWS_SECONDS * 1000);
}

function announce() {
  newsTimer = null;
  const told = Object.entries(WORDS).filter(([type]) => news[type]).map(([type, word]) => `${news[type]} ${word}`);
  if (news.urgent.size) told.push(`urgent: ${[...news.urgent].join(", ")}`);
  write(document.getElementById("ups-news"), told.join(", "));
  for (const type of Object.keys(WORDS)) news[type] = 0;
  news.urgent.clear();
}

// ---- Hands: clicks, keys, scrolling ----------------------------------------------------------

board.addEventListener("click", (event) => {
  const tab = event.target.closest(".ups-tabs button");
  if (tab) {
    board.dataset.shown = tab.dataset.column;
    for (const { name, tab: other } of columns.values()) other.setAttribute("aria-pressed", `${name === tab.dataset.column}`);
  }
  const link = event.target.closest(".ups-card-title");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  openDrawer(link.closest(".ups-card").dataset.uid, link.href);
});

const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
const SIDEWAYS = { ArrowRight: 1, ArrowLeft: -1 };

board.addEventListener("keydown", (event) => {
  const link = event.target.closest(".ups-card-title");
  if (!link || event.altKey || event.ctrlKey || event.metaKey) return;
  const list = link.closest(".ups-cards");
  const links = [...list.querySelectorAll(".ups-card-title")];
  const here = links.indexOf(link);
  let target;
  if (event.key in STEPS) target = links[Math.min(Math.max(here + STEPS[event.key], 0), links.length - 1)];
  if (event.key in SIDEWAYS) {
    const lists = [...columns.values()].map((column) => column.list).filter((other) => other.firstElementChild?.checkVisibility());
    const beside = lists[lists.indexOf(list) + SIDEWAYS[event.key]];
    const there = beside?.querySelectorAll(".ups-card-title");
    target = there?.[Math.min(here, there.length - 1)];
  }
  if (!target) return;
  event.preventDefault();
  target.focus();
});

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      const column = columns.get(target.closest(".ups-column").dataset.column);
      column.limit += MORE_CARDS;
      markDirty(column);
      watcher.unobserve(target); // it is told again only if it is still in sight
      watcher.observe(target);
    }
  },
  { rootMargin: "800px", scrollMargin: "800px" },
);
for (const more of board.querySelectorAll(".ups-more")) watcher.observe(more);

setInterval(() => {
  for (const item of items.values()) item.isChanged = true; // times go on
  for (const column of columns.values()) markDirty(column);
}, TICK_SECONDS * 1000);

document.addEventListener("visibilitychange", () => markDirty());

refilter();
