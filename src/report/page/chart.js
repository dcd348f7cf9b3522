// The images over time, by slot or with one row per image, and what each one waited for.

const chart = { zoom: 1, byImage: false, bars: new Map(), order: [] };
const MOST_ZOOM = 400;

function drawChart() {
  byId("timeline").hidden = false;
  const views = ["By slot", "By image"].map((name, index) => make("button", {
    type: "button", "aria-pressed": String(index === 0), onclick: () => showBy(index === 1),
  }, name));
  chart.views = views;
  const zoom = (name, label, by) => make("button", { type: "button", "aria-label": label, onclick: by }, name);
  byId("chart-tools").append(
    make("span", { class: "joined", role: "group", "aria-label": "Rows" }, views),
    make("span", { class: "joined", role: "group", "aria-label": "Zoom" },
      zoom("−", "Zoom out", () => zoomBy(1 / 1.6)),
      zoom("+", "Zoom in", () => zoomBy(1.6)),
      zoom("Fit", "Whole run", () => zoomTo(1))));
  drawChain();
  drawLanes();
  drawAxis();
  byId("chart-scroll").addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = byId("chart-scroll").getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY * 0.002), event.clientX - box.left);
  }, { passive: false });
  byId("lanes").addEventListener("keydown", walkBars);
  new ResizeObserver(drawAxis).observe(byId("chart-scroll"));
  listeners.select.push((index, from) => showSelectedBar(index, from));
  listeners.filter.push(() => dimBars());
  drawLegend();
}

const percent = (ms) => `${(100 * ms) / Math.max(1, run.took)}%`;

function place(element, from, to) {
  element.style.left = percent(from);
  element.style.width = percent(to - from);
  return element;
}

function drawLanes() {
  const lanes = byId("lanes");
  lanes.replaceChildren();
  chart.bars.clear();
  chart.order = images.filter((image) => image.begun).sort((a, b) => a.start - b.start || a.slot - b.slot);
  const rows = chart.byImage ? chart.order.map((image) => [image]) : byPlace(chart.order);
  lanes.className = chart.byImage ? "by-image" : "by-slot";
  for (const row of rows) {
    const lane = make("div", { class: "lane" });
    row.forEach((image) => lane.append(...drawBar(image)));
    lanes.append(lane);
  }
  if (chart.order.length === 0) lanes.append(make("p", { class: "soft" }, "No image was started."));
  const first = chart.bars.get(chart.order[0]?.index);
  rove([...chart.bars.values()], chart.bars.get(state.selected) ?? first);
  dimBars();
  showSelectedBar(state.selected);
}

function byPlace(sorted) {
  const slots = [];
  sorted.forEach((image) => (slots[image.slot] ??= []).push(image));
  return Array.from(slots, (lane) => lane ?? []);
}

function drawBar(image) {
  const bar = make("button", {
    type: "button", class: `bar o-${image.outcome}${inChain.has(image.index) ? " chain" : ""}`,
    "data-image": image.index, "aria-label": sentence(image), title: sentence(image),
    onclick: () => select(image.index, "chart"),
  });
  place(bar, image.start, image.end);
  bar.append(drawOperations(image));
  chart.bars.set(image.index, bar);
  const label = make("span", { class: "label" }, `${["failed", "canceled", "cached"].includes(image.outcome) ? OUTCOMES[image.outcome].mark + " " : ""}${image.name}`);
  const wait = image.waited > 0 ? [place(make("span", { class: "wait" }), image.ready, image.start)] : [];
  if (!chart.byImage) {
    bar.append(label);
    return [...wait, bar];
  }
  // Next to the bar, on the side with more space.
  const time = make("span", { class: "soft" }, ` ${duration(image.took)}`);
  const text = make("span", { class: "beside", "aria-hidden": "true" }, label, time);
  if (image.end > run.took * 0.7) text.style.right = `calc(100% - ${percent(Math.min(image.start, image.ready))} + 6px)`;
  else text.style.left = `calc(max(${percent(image.end)}, ${percent(image.start)} + 3px) + 6px)`;
  return [...wait, bar, text];
}

// Draws the operations of an image at the top of its bar. The rest of the time, steps were running.
function drawOperations(image) {
  const marks = image.operations.map((work) => within(image, work, make("span", { class: `operation p-${work.kind}` })));
  return make("span", { class: "operations", "aria-hidden": "true" }, marks);
}

// Places a step or an operation in the bar of its image.
function within(image, { from, took }, element) {
  const part = (ms) => `${(100 * ms) / Math.max(1, image.took)}%`;
  element.style.left = part(from - image.start);
  element.style.width = part(took);
  return element;
}

function dimBars() {
  chart.bars.forEach((bar, index) => bar.classList.toggle("dim", !state.matching.has(index)));
}

function showBy(byImage) {
  chart.byImage = byImage;
  chart.views.forEach((view, index) => view.setAttribute("aria-pressed", String((index === 1) === byImage)));
  drawLanes();
}

// Shows the steps of the selected image inside its bar.
function showSelectedBar(index, from) {
  byId("lanes").querySelectorAll(".steps").forEach((steps) => steps.remove());
  byId("lanes").querySelectorAll(".wait.on").forEach((wait) => wait.classList.remove("on"));
  chart.bars.forEach((bar, other) => bar.setAttribute("aria-pressed", String(other === index)));
  const bar = chart.bars.get(index);
  if (!bar) return;
  const image = images[index];
  const steps = image.steps.map((step) => {
    const odd = step.broke ? " broke" : step.cached ? " cached" : "";
    return within(image, step, make("span", { class: `step${odd}`, title: step.text }));
  });
  bar.append(make("span", { class: "steps", "aria-hidden": "true" }, steps));
  if (bar.previousElementSibling?.classList.contains("wait")) bar.previousElementSibling.classList.add("on");
  rove([...chart.bars.values()], bar);
  if (from !== "chart") bar.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function walkBars(event) {
  const index = Number(event.target.dataset?.image ?? -1);
  const at = chart.order.findIndex((image) => image.index === index);
  if (at < 0) return;
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: chart.order.length - 1 }[event.key];
  const next = chart.bars.get(chart.order[to]?.index);
  if (!next) return;
  event.preventDefault();
  rove([...chart.bars.values()], next);
  next.focus();
}

function zoomBy(factor, x) {
  zoomTo(chart.zoom * factor, x);
}

// Zooms around the time at `x`, or around the middle if `x` is not given.
function zoomTo(zoom, x) {
  const scroll = byId("chart-scroll");
  const at = x ?? scroll.clientWidth / 2;
  const moment = (scroll.scrollLeft + at) / scroll.scrollWidth;
  chart.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
  byId("chart").style.width = `${chart.zoom * 100}%`;
  scroll.scrollLeft = moment * scroll.scrollWidth - at;
  drawAxis();
}

function drawAxis() {
  const width = byId("chart").clientWidth;
  const wanted = (run.took * 90) / Math.max(1, width);
  const nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 864e5];
  const step = nice.find((it) => it >= wanted) ?? 864e5;
  const ticks = [];
  for (let at = 0; at <= run.took; at += step) {
    const tick = make("span", { class: "tick" }, at === 0 ? "0" : tickName(at, step));
    tick.style.left = percent(at);
    // The label of the last tick would extend beyond the edge.
    if (at > run.took - step * 0.6 && at > 0) tick.classList.add("last");
    ticks.push(tick);
  }
  byId("axis").replaceChildren(...ticks);
}

function tickName(at, step) {
  if (step < 1000) return at < 1000 ? `${at}ms` : `${(at / 1000).toFixed(step < 100 ? 2 : 1)}s`;
  return at < 60000 ? `${at / 1000}s` : duration(at);
}

function drawChain() {
  if (chain.length === 0) return byId("chain").remove();
  const links = chain.flatMap(({ image, waited }, at) => {
    const arrow = at === 0 ? [] : [make("span", { class: "soft", title: waited === "slot" ? "queued until its slot was free" : "dependent" }, waited === "slot" ? " ⇢ " : " → ")];
    return [...arrow, nameButton(image, "chain")];
  });
  byId("chain").append(make("span", { class: "soft" }, "Critical path: "), ...links);
}

// Creates a button with an image's name that selects the image.
function nameButton(index, from) {
  return make("button", { type: "button", class: "name-button", onclick: () => select(index, from) }, images[index].name);
}

function drawLegend() {
  const present = [...new Set(chart.order.map((image) => image.outcome))];
  const key = (name, ...words) => make("span", { class: "key" }, make("span", { class: `swatch ${name}` }), ...words);
  byId("chart-legend").append(
    ...present.map((outcome) => key(`o-${outcome}`, OUTCOMES[outcome].word)),
    ...drawnOperations().map((kind) => key(`p-${kind}`, OPERATIONS[kind])),
    key("swatch-chain", "on the critical path"),
    key("swatch-wait", "queued"));
}

// Returns the operations that are visible in the chart.
function drawnOperations() {
  const visible = images.flatMap((image) => image.operations.filter((work) => work.took >= LEAST_WAIT).map((work) => work.kind));
  return Object.keys(OPERATIONS).filter((kind) => visible.includes(kind));
}
