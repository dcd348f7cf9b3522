// The graph in ranks, with parents to the left of their children. Positions are computed in advance; this
// script draws, moves, folds, and highlights the images.

const LETTER = 7.3;
const HEIGHT = 26;
const ROW = 36;
// `fit` is how the graph is fitted again if its frame is resized. It is null after the user has moved the
// graph.
const graph = { nodes: new Map(), lines: [], folded: new Set(), x: 0, y: 0, scale: 1, fit: "width" };

function drawGraph() {
  const longest = Math.max(4, ...images.map((image) => image.name.length));
  graph.width = Math.min(230, Math.max(76, Math.ceil(longest * LETTER) + 36));
  graph.step = graph.width + 54;
  const button = (name, label, by) => make("button", { type: "button", "aria-label": label, onclick: by }, name);
  byId("graph-tools").append(
    button("Unfold all", "Unfold all", () => { graph.folded.clear(); showFolds(); }),
    make("span", { class: "joined", role: "group", "aria-label": "Zoom" },
      button("−", "Zoom out", () => scaleBy(1 / 1.3)),
      button("+", "Zoom in", () => scaleBy(1.3)),
      button("Fit", "Whole graph", () => fitGraph("whole"))));
  const plane = draw("g", {});
  graph.plane = plane;
  graph.svg = draw("svg", { role: "group", "aria-label": `Graph of ${count(images.length, "image")}` },
    draw("defs", {}, draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "7", markerHeight: "7", orient: "auto" },
      draw("path", { class: "tip", d: "M0 1L7 4L0 7Z" }))), plane);
  data.lines.forEach((line) => drawLine(plane, line));
  images.forEach((image) => plane.append(drawNode(image)));
  byId("graph-frame").append(graph.svg);
  const [ranks, rows] = data.extent;
  graph.extent = [Math.max(1, ranks) * graph.step - 54 + 32, rows * ROW + 24];
  graph.svg.style.height = `min(${graph.extent[1]}px, 74vh)`;
  rove([...graph.nodes.values()], graph.nodes.get(0));
  listenToGraph();
  new ResizeObserver(() => graph.fit && fitGraph(graph.fit)).observe(graph.svg);
  listeners.filter.push((filtered) => graph.nodes.forEach((node, index) => {
    node.classList.toggle("dim", !state.matching.has(index));
    node.classList.toggle("found", filtered && state.matching.has(index));
  }));
  const kinds = [...new Set(data.lines.map(({ kind }) => kind))];
  byId("graph-legend").append(...kinds.map((kind) => make("span", { class: "key" },
    draw("svg", { class: "sample", viewBox: "0 0 28 8", "aria-hidden": "true" }, draw("path", { class: `line k-${kind}`, d: "M0 4H28" })), kind)),
    make("span", { class: "key" }, "from left to right: dependencies, then dependents"));
}

const left = (rank) => 16 + rank * graph.step;
const middle = (row) => 12 + row * ROW + ROW / 2;

function drawNode(image) {
  const most = Math.floor((graph.width - 34) / LETTER);
  const name = image.name.length > most ? `${image.name.slice(0, most - 1)}…` : image.name;
  const node = draw("g", {
    class: `node o-${image.outcome ?? "none"}${inChain.has(image.index) ? " chain" : ""}`, role: "button", tabindex: "-1",
    "data-image": image.index, "aria-label": sentence(image), transform: `translate(${left(image.rank)} ${middle(image.row) - HEIGHT / 2})`,
  },
  draw("title", {}, sentence(image)),
  draw("rect", { class: "box", width: graph.width, height: HEIGHT, rx: 5 }),
  image.outcome ? draw("text", { class: "node-mark", x: 9, y: 17 }, OUTCOMES[image.outcome].mark) : null,
  draw("text", { class: "node-name", x: image.outcome ? 25 : 11, y: 17 }, name));
  if (image.dependents.length > 0) {
    const fold = draw("g", { class: "fold", transform: `translate(${graph.width} ${HEIGHT / 2})` },
      draw("title", {}, "Fold or unfold its dependents (c)"),
      draw("circle", { r: 7 }), draw("text", { class: "fold-sign", y: 4, "text-anchor": "middle" }, "−"));
    node.append(fold);
  }
  graph.nodes.set(image.index, node);
  return node;
}

// Draws a curve from rank to rank. In each column in between, it is a straight line between the images.
function drawLine(plane, { parent, child, kind, bends }) {
  const from = images[parent];
  const to = images[child];
  let [x, y] = [left(from.rank) + graph.width, middle(from.row)];
  let path = `M${x} ${y}`;
  for (const [rank, row] of [...bends, [to.rank, to.row]]) {
    const [nextX, nextY] = [left(rank), middle(row)];
    const half = (x + nextX) / 2;
    path += `C${half} ${y} ${half} ${nextY} ${nextX} ${nextY}`;
    if (rank !== to.rank) path += `H${nextX + graph.width}`;
    [x, y] = [nextX + graph.width, nextY];
  }
  const line = draw("path", { class: `line k-${kind}`, d: path, "marker-end": "url(#tip)" });
  plane.append(line);
  graph.lines.push({ line, parent, child });
}

function move() {
  graph.plane.setAttribute("transform", `translate(${graph.x} ${graph.y}) scale(${graph.scale})`);
}

// Fits the whole graph, or, at first, as much as is legible.
function fitGraph(fit) {
  graph.fit = fit;
  const { clientWidth: width, clientHeight: height } = graph.svg;
  const [wide, high] = graph.extent;
  const fitting = Math.min(width / wide, height / high, 1);
  graph.scale = fit === "whole" ? fitting : Math.max(Math.min(width / wide, 1), 0.62);
  graph.x = Math.max(0, (width - wide * graph.scale) / 2);
  graph.y = Math.max(0, (height - high * graph.scale) / 2);
  move();
}

function scaleBy(factor, x = graph.svg.clientWidth / 2, y = graph.svg.clientHeight / 2) {
  const scale = Math.min(3, Math.max(0.05, graph.scale * factor));
  graph.fit = null;
  graph.x = x - ((x - graph.x) * scale) / graph.scale;
  graph.y = y - ((y - graph.y) * scale) / graph.scale;
  graph.scale = scale;
  move();
}

function listenToGraph() {
  const { svg } = graph;
  let drag = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { x: event.clientX, y: event.clientY, moved: false };
  });
  svg.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    // Small movements still count as a click.
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) svg.setPointerCapture(event.pointerId);
    graph.fit = null;
    graph.x += dx;
    graph.y += dy;
    drag = { x: event.clientX, y: event.clientY, moved: true };
    move();
  });
  svg.addEventListener("pointercancel", () => { drag = null; });
  svg.addEventListener("click", (event) => {
    const moved = drag?.moved;
    drag = null;
    const node = event.target.closest?.(".node");
    if (moved || !node) return;
    const index = Number(node.dataset.image);
    if (event.target.closest(".fold")) fold(index);
    else select(index, "graph");
  });
  window.addEventListener("pointerup", () => setTimeout(() => { drag = null; }, 0));
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    scaleBy(Math.exp(-event.deltaY * 0.002), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  svg.addEventListener("keydown", walkNodes);
}

function fold(index) {
  if (!graph.folded.delete(index)) graph.folded.add(index);
  showFolds();
}

// Returns all images that can be reached from an image through its dependencies or its dependents.
function reach(index, way) {
  const found = new Set();
  const stack = [index];
  while (stack.length > 0) {
    for (const { image } of images[stack.pop()][way]) {
      if (!found.has(image)) {
        found.add(image);
        stack.push(image);
      }
    }
  }
  return found;
}

function showFolds() {
  const hidden = new Set([...graph.folded].flatMap((index) => [...reach(index, "dependents")]));
  graph.nodes.forEach((node, index) => {
    node.classList.toggle("gone", hidden.has(index));
    const sign = node.querySelector(".fold-sign");
    if (sign) {
      sign.textContent = graph.folded.has(index) ? "+" : "−";
      sign.parentNode.classList.toggle("folded", graph.folded.has(index));
    }
  });
  graph.lines.forEach(({ line, parent, child }) => line.classList.toggle("gone", hidden.has(parent) || hidden.has(child)));
  say(hidden.size > 0 ? `${count(hidden.size, "image")} folded` : "all images shown");
}
