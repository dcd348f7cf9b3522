// Assembles the page, and handles the keys that work everywhere.

const KEYS = [
  ["/", "search"],
  ["Esc", "close the details, then clear the search"],
  ["Tab", "move between the chart, the table, and the graph"],
  ["← → ↑ ↓", "move between bars, rows, and nodes"],
  ["Enter", "show the details of the bar, row, or node"],
  ["d", "move to the details"],
  ["+ − 0", "zoom in, zoom out, or show all, in the chart or, if it has the focus, the graph"],
  ["Ctrl and wheel", "zoom at the pointer"],
  ["v", "switch the chart between slots and images"],
  ["c", "fold or unfold the dependents of the focused node"],
  ["t", "switch between light and dark"],
  ["?", "show these shortcuts"],
];

function showKeys() {
  const dialog = byId("keys");
  if (dialog.childElementCount === 0) {
    dialog.append(
      make("h2", { id: "keys-title" }, "Keyboard shortcuts"),
      make("dl", {}, (run ? KEYS : KEYS.filter(([key]) => key !== "v")).map(([key, does]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, does)])),
      make("form", { method: "dialog" }, make("button", {}, "Close")));
  }
  if (!dialog.open) dialog.showModal();
}

function leave() {
  if (state.selected !== null) return closeDetails();
  const search = byId("search");
  search.value = "";
  state.query = "";
  filter();
  search.blur();
}

function hearKeys(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.key === "Escape") return leave();
  if (event.target.matches?.("input")) return;
  const does = {
    "/": () => byId("search").focus(),
    "?": showKeys,
    t: toggleTheme,
    d: () => byId("details-title")?.focus(),
    v: run && (() => showBy(!chart.byImage)),
    "+": run && (() => zoomBy(1.6)),
    "=": run && (() => zoomBy(1.6)),
    "-": run && (() => zoomBy(1 / 1.6)),
    0: run && (() => zoomTo(1)),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

// Selects the image that is named in the address, as in `#image`.
function selectByAddress() {
  let name = "";
  try {
    name = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  const image = images.find((it) => it.name === name);
  if (image) select(image.index, "address");
}

drawHeader();
if (run) {
  drawChart();
  drawLoad();
  drawTable();
}
drawGraph();
listeners.select.push(showSelectedNode, drawDetails, (index) => say(index === null ? "" : sentence(images[index])));
document.addEventListener("keydown", hearKeys);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
window.addEventListener("hashchange", selectByAddress);
selectByAddress();
document.body.dataset.ready = "true";
