// The keyboard control of the graph, and its selected image.

// Shows the selected node: moves it into the frame, and highlights everything that belongs to it.
function showSelectedNode(index, from) {
  graph.nodes.forEach((node, other) => node.classList.toggle("on", other === index));
  const near = index === null ? null : new Set([index, ...reach(index, "parents"), ...reach(index, "dependents")]);
  graph.nodes.forEach((node, other) => node.classList.toggle("far", near !== null && !near.has(other)));
  graph.lines.forEach(({ line, parent, child }) => {
    line.classList.toggle("far", near !== null && !(near.has(parent) && near.has(child)));
    line.classList.toggle("on", index !== null && (parent === index || child === index));
  });
  const node = graph.nodes.get(index);
  if (!node) return;
  rove([...graph.nodes.values()], node);
  if (from !== "graph") bringIntoFrame(images[index]);
}

function bringIntoFrame(image) {
  const { clientWidth: width, clientHeight: height } = graph.svg;
  const x = graph.x + (left(image.rank) + graph.width / 2) * graph.scale;
  const y = graph.y + middle(image.row) * graph.scale;
  const margin = (graph.width / 2) * graph.scale + 8;
  const isInside = x >= margin && x <= width - margin && y >= 24 && y <= height - 24;
  if (isInside) return;
  graph.fit = null;
  if (x < margin || x > width - margin) graph.x += width / 2 - x;
  if (y < 24 || y > height - 24) graph.y += height / 2 - y;
  move();
}

function walkNodes(event) {
  const index = Number(event.target.closest?.(".node")?.dataset.image ?? -1);
  if (index < 0) return;
  const image = images[index];
  const shown = (other) => !graph.nodes.get(other.index).classList.contains("gone");
  const beside = (way) => images
    .filter((other) => other.rank === image.rank && shown(other) && (other.row - image.row) * way > 0)
    .sort((a, b) => (a.row - b.row) * way)[0];
  const nearest = (edges) => edges.map((edge) => images[edge.image]).filter(shown)
    .sort((a, b) => Math.abs(a.row - image.row) - Math.abs(b.row - image.row))[0];
  const ways = {
    ArrowLeft: () => nearest(image.parents),
    ArrowRight: () => nearest(image.dependents),
    ArrowUp: () => beside(-1),
    ArrowDown: () => beside(1),
  };
  if (event.key === "Enter" || event.key === " ") select(index, "graph");
  else if (event.key === "c") fold(index);
  else if (event.key === "+" || event.key === "=") scaleBy(1.3);
  else if (event.key === "-") scaleBy(1 / 1.3);
  else if (event.key === "0") fitGraph("whole");
  else if (ways[event.key]) {
    const next = ways[event.key]();
    if (next) {
      rove([...graph.nodes.values()], graph.nodes.get(next.index));
      bringIntoFrame(next);
      graph.nodes.get(next.index).focus({ preventScroll: true });
    }
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
