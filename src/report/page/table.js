// The images as a table that can be sorted by each column.

const byText = (a, b) => a.localeCompare(b, "en", { numeric: true });

// The content of each column and the value to sort it by. Unknown values are last in both directions.
const COLUMNS = [
  { title: "Image", show: (it) => make("span", { class: "name" }, it.name), value: (it) => it.name },
  { title: "Verdict", show: (it) => [mark(it.outcome), ` ${OUTCOMES[it.outcome].word}`], value: (it) => OUTCOMES[it.outcome].order },
  { title: "Reason", show: (it) => (it.failure ? `${it.failure.location ? `${it.failure.location}: ` : ""}${it.failure.message.split("\n")[0]}` : it.why), value(it) { return this.show(it) || undefined; }, wide: true },
  { title: "Duration", number: true, show: (it) => (it.begun ? duration(it.took) : ""), value: (it) => it.took },
  { title: "Queued", number: true, show: (it) => (it.waited ? duration(it.waited) : ""), value: (it) => it.waited },
  { title: "Ran", number: true, show: (it) => String(it.counts?.ran ?? ""), value: (it) => it.counts?.ran, hint: "steps that ran" },
  { title: "Cached", number: true, show: (it) => String(it.counts?.cached ?? ""), value: (it) => it.counts?.cached, hint: "steps that came from the engine's cache" },
  { title: "Size", number: true, show: (it) => (it.size === undefined ? "" : bytes(it.size)), value: (it) => it.size },
  { title: "Added", number: true, show: (it) => (it.added === undefined ? "" : bytes(it.added)), value: (it) => it.added, hint: "size that the image adds to its parent" },
  { title: "Compared", number: true, show: (it) => showComparison(it), value: (it) => compare(it).value, hint: "with the previous run" },
];

const table = { column: -1, down: false, rows: new Map() };

function showComparison(image) {
  const { words, slower } = compare(image);
  return make("span", { class: slower === undefined ? "" : slower ? "slower" : "faster" }, words);
}

function drawTable() {
  byId("images").hidden = false;
  const columns = run.prior ? COLUMNS : COLUMNS.slice(0, -1);
  table.heads = columns.map((column, index) => make("th", { scope: "col", "aria-sort": "none", class: column.number ? "number" : "" },
    make("button", { type: "button", title: column.hint, onclick: () => sortBy(index) }, column.title, make("span", { class: "arrow", "aria-hidden": "true" }))));
  byId("table").tHead.append(make("tr", {}, table.heads));
  for (const image of images) {
    const cells = columns.map((column, index) => make(index === 0 ? "th" : "td", {
      scope: index === 0 ? "row" : undefined,
      class: [column.number && "number", column.wide && "wide"].filter(Boolean).join(" "),
      title: column.wide && column.show(image),
    }, column.show(image)));
    table.rows.set(image.index, make("tr", { "data-image": image.index, tabindex: "-1", onclick: () => select(image.index, "table") }, cells));
  }
  placeRows(images);
  byId("table").tBodies[0].addEventListener("keydown", walkRows);
  listeners.select.push((index, from) => {
    table.rows.forEach((row, other) => row.classList.toggle("on", other === index));
    const row = table.rows.get(index);
    if (!row) return;
    rove([...table.rows.values()], row);
    if (from !== "table") keepInSight(row);
  });
  listeners.filter.push(() => {
    table.rows.forEach((row, index) => { row.hidden = !state.matching.has(index); });
    const shown = shownRows();
    if (!shown.some((row) => row.tabIndex === 0)) rove([...table.rows.values()], shown[0]);
  });
}

// Scrolls only the frame of the table, not the page.
function keepInSight(row) {
  const frame = byId("table-scroll");
  const top = row.offsetTop - row.offsetHeight - 8;
  if (top < frame.scrollTop) frame.scrollTop = top;
  else if (row.offsetTop + row.offsetHeight > frame.scrollTop + frame.clientHeight) {
    frame.scrollTop = row.offsetTop + row.offsetHeight - frame.clientHeight;
  }
}

function placeRows(sorted) {
  byId("table").tBodies[0].append(...sorted.map((image) => table.rows.get(image.index)));
  const all = [...table.rows.values()];
  rove(all, all.find((row) => row.classList.contains("on")) ?? shownRows()[0]);
}

function shownRows() {
  return [...byId("table").tBodies[0].rows].filter((row) => !row.hidden);
}

// Sorts ascending, then descending, then restores the original order.
function sortBy(column) {
  if (table.column !== column) [table.column, table.down] = [column, false];
  else if (!table.down) table.down = true;
  else table.column = -1;
  table.heads.forEach((head, index) => {
    const sort = index !== table.column ? "none" : table.down ? "descending" : "ascending";
    head.setAttribute("aria-sort", sort);
  });
  if (table.column < 0) return placeRows(images);
  const order = (a, b) => {
    const [x, y] = [COLUMNS[column].value(a), COLUMNS[column].value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const less = typeof x === "string" ? byText(x, y) : x - y;
    return table.down ? -less : less;
  };
  placeRows([...images].sort(order));
  say(`sorted by ${COLUMNS[column].title}, ${table.down ? "descending" : "ascending"}`);
}

function walkRows(event) {
  const row = event.target.closest("tr");
  if (!row) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return select(Number(row.dataset.image), "table");
  }
  const rows = shownRows();
  const at = rows.indexOf(row);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: Math.min(at + 15, rows.length - 1), PageUp: Math.max(at - 15, 0), Home: 0, End: rows.length - 1 }[event.key];
  if (!rows[to]) return;
  event.preventDefault();
  rove([...table.rows.values()], rows[to]);
  rows[to].focus();
}
