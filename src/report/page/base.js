// What the other scripts share: the data, the selection, the search, and functions that create elements. Text
// is only ever added to the page as text.

const data = JSON.parse(document.getElementById("data").textContent);
const { run } = data;

// The outcomes of an image. Each color has a mark, so that the page works without colors.
const OUTCOMES = {
  built: { word: "built", mark: "●", order: 2 },
  cached: { word: "built, all steps cached", mark: "◐", order: 3 },
  fresh: { word: "fresh", mark: "○", order: 4 },
  failed: { word: "failed", mark: "✕", order: 0 },
  canceled: { word: "canceled", mark: "⊘", order: 1 },
  skipped: { word: "skipped", mark: "–", order: 6 },
  running: { word: run?.state === "still running" ? "running" : "interrupted", mark: "▸", order: 5 },
  waiting: { word: "not started", mark: "·", order: 7 },
};

// The operations of an image, in the order in which they happen.
const OPERATIONS = {
  "waiting-for-run": "waiting for another run",
  pulling: "pulling",
  "sending-context": "sending context",
  exporting: "exporting",
  unpacking: "unpacking",
};

// A dependent starts a few milliseconds after its dependency ends. Shorter times do not count as waiting.
const LEAST_WAIT = 20;

// Joins several edges to the same image.
function gather(parents) {
  const found = new Map();
  for (const { image, kind, location } of parents) found.set(image, [...(found.get(image) ?? []), location ? `${kind}, ${location}` : kind]);
  return [...found].map(([image, ways]) => ({ image, words: ways.join("; ") }));
}

const images = data.images.map((given, index) => {
  // Empty fields are left out of the data.
  const image = {
    index, why: "", changes: [], steps: [], operations: [], references: [], notes: [], tail: [], externals: [], dependents: [], ...given,
    parents: gather(given.parents ?? []),
  };
  image.begun = image.start !== undefined;
  // An image without an end is still running, or was running when the process died.
  if (image.begun) image.end ??= run.took;
  image.took = image.begun ? image.end - image.start : undefined;
  const waited = image.start - image.ready;
  image.waited = image.begun ? (waited < LEAST_WAIT ? 0 : waited) : undefined;
  return image;
});

for (const image of images) {
  for (const { image: parent, words } of image.parents) {
    images[parent]?.dependents.push({ image: image.index, words });
  }
}

const chain = run?.chain ?? [];
const inChain = new Set(chain.map((link) => link.image));

// Creates an element. `given` contains properties and attributes, and event handlers as `on…`.
function make(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

function draw(tag, given = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return element;
}

const byId = (id) => document.getElementById(id);

function say(text) {
  byId("said").textContent = text;
}

// Formats a duration: `420ms`, `4.2s`, `3m05s`, `1h02m`.
function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
}

// Formats a size with three digits, as Docker does: `512 B`, `4.20 kB`, `312 MB`.
function bytes(size) {
  if (size < 1000) return `${size} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let unit = -1;
  while (size >= 999.5 && unit + 1 < units.length) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${units[unit]}`;
}

function count(number, noun) {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

function moment(text) {
  return `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
}

function mark(outcome) {
  return make("span", { class: `mark o-${outcome}`, "aria-hidden": "true" }, OUTCOMES[outcome].mark);
}

// Compares an image with the previous run. Returns words, and the number to sort them by.
function compare(image) {
  if (!run?.prior || !image.begun || image.outcome === "fresh") return { words: "", value: undefined };
  if (!image.prior) return { words: "new", value: image.took };
  const before = image.prior.took;
  const isBuilt = image.outcome === "built" || image.outcome === "cached";
  if (before === undefined) return { words: isBuilt ? "newly built" : "", value: isBuilt ? image.took : undefined };
  if (!isBuilt) return { words: "", value: undefined };
  const change = image.took - before;
  if (Math.abs(change) < Math.max(50, before * 0.05)) return { words: "no change", value: change };
  const slower = change > 0;
  return { words: `${duration(Math.abs(change))} ${slower ? "slower" : "faster"}`, value: change, slower };
}

function sentence(image) {
  const parts = [image.name];
  if (image.outcome) parts.push(OUTCOMES[image.outcome].word);
  if (image.begun) parts.push(duration(image.took));
  if (image.waited) parts.push(`queued ${duration(image.waited)}`);
  if (inChain.has(image.index)) parts.push("on the critical path");
  return parts.join(", ");
}

// The selection and the search. The views listen for changes.
const state = { selected: null, query: "", outcomes: new Set(), matching: new Set(images.map((it) => it.index)) };
const listeners = { select: [], filter: [] };

function select(index, from) {
  state.selected = index;
  listeners.select.forEach((listen) => listen(index, from));
}

function filter() {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (image) => {
    const text = [image.name, ...image.references].join(" ").toLowerCase();
    return words.every((word) => text.includes(word))
      && (state.outcomes.size === 0 || state.outcomes.has(image.outcome));
  };
  state.matching = new Set(images.filter(matches).map((image) => image.index));
  listeners.filter.forEach((listen) => listen(isFiltered()));
}

function isFiltered() {
  return state.query.trim() !== "" || state.outcomes.size > 0;
}

// Makes one of many elements reachable with Tab. The arrow keys move to the others.
function rove(elements, current) {
  elements.forEach((element) => element.setAttribute("tabindex", element === current ? "0" : "-1"));
}
