// A side panel with everything that is known about the selected image.

function drawDetails(index) {
  const panel = byId("details");
  panel.hidden = index === null;
  document.body.classList.toggle("with-details", index !== null);
  if (index === null) return;
  const image = images[index];
  panel.replaceChildren(
    make("div", { class: "panel-head" },
      make("h2", { tabindex: "-1", id: "details-title" }, image.outcome ? mark(image.outcome) : null, ` ${image.name}`),
      make("button", { type: "button", "aria-label": "Close", onclick: closeDetails }, "✕")),
    ...[describe(image), failed(image), noted(image), listParents(image), stepped(image), logged(image)].flat().filter(Boolean));
  panel.scrollTop = 0;
}

function closeDetails() {
  const { selected } = state;
  const had = byId("details").contains(document.activeElement);
  select(null);
  // Return the focus to the image's position in the page.
  if (had) (table.rows.get(selected) ?? graph.nodes.get(selected))?.focus();
}

function part(title, ...content) {
  return make("section", {}, make("h3", {}, title), ...content);
}

function describe(image) {
  const rows = [];
  const add = (name, ...value) => rows.push(make("dt", {}, name), make("dd", {}, ...value));
  if (image.outcome) add("verdict", OUTCOMES[image.outcome].word);
  if (image.why) add("reason", image.why, image.changes.length > 0 ? make("ul", {}, image.changes.map((it) => make("li", {}, it))) : null);
  if (image.begun) {
    const expected = image.expected === undefined ? "" : `, expected ${duration(image.expected)}`;
    add("duration", `${duration(image.took)}${expected}`);
    add("when", `${duration(image.start)} to ${duration(image.end)}, in slot ${image.slot + 1}`);
    add("queued", image.waited > 0 ? duration(image.waited) : "no");
  }
  const link = chain.find((it) => it.image === image.index);
  if (link) add("critical path", { nothing: "first image", dependency: "depends on the previous image", slot: "queued until the previous image freed its slot" }[link.waited]);
  const compared = compare(image);
  if (compared.words) add("compared", `${compared.words}${image.prior?.took === undefined ? "" : `, ${duration(image.prior.took)} in the previous run`}`);
  if (image.size !== undefined) add("size", bytes(image.size), image.added === undefined ? "" : `, ${bytes(image.added)} added`);
  if (image.files) {
    const { dockerfile, context, target } = image.files;
    add("Dockerfile", make("code", {}, dockerfile));
    add("context", make("code", {}, context === "" ? "." : context));
    if (target) add("target", make("code", {}, target));
  }
  if (image.references.length > 0) add(image.references.length > 1 ? "references" : "reference", image.references.map((it) => make("div", {}, make("code", {}, it))));
  if (image.id) add("ID", make("code", { class: "id" }, image.id));
  return make("dl", {}, rows);
}

function failed(image) {
  const { failure } = image;
  if (!failure) return null;
  const { line: first, lines } = failure.excerpt ?? { line: 0, lines: [] };
  const width = String(first + lines.length).length;
  const excerpt = lines.map((line, at) => `${String(first + at).padStart(width)} │ ${line}`).join("\n");
  return part("Failure",
    make("p", { class: "bad" }, failure.message),
    failure.location || failure.step ? make("p", { class: "soft" }, "at ", make("code", {}, failure.location ?? failure.step)) : null,
    excerpt ? make("pre", { tabindex: "0", "aria-label": "Failed instruction" }, excerpt) : null,
    failure.tail.length > 0 ? [make("h4", {}, `last ${count(failure.tail.length, "line")} of the log`), log(failure.tail)] : null);
}

function log(lines) {
  return make("pre", { class: "log", tabindex: "0", "aria-label": "Log" }, lines.join("\n"));
}

function noted(image) {
  if (image.notes.length === 0) return null;
  return part("Notes", make("ul", {}, image.notes.map((it) => make("li", {}, it))));
}

function listParents(image) {
  const item = ({ image: other, words }) => make("li", {},
    images[other].outcome ? mark(images[other].outcome) : null, " ", nameButton(other, "details"),
    make("span", { class: "soft" }, ` ${words}`));
  const external = ({ name, kind, location: at }) => make("li", {}, make("code", {}, name), make("span", { class: "soft" }, ` ${kind}, ${at}`));
  const folded = graph.folded.has(image.index);
  return [
    image.parents.length > 0 ? part(`Dependencies ${image.parents.length}`, make("ul", { class: "names" }, image.parents.map(item))) : null,
    image.externals.length > 0 ? part("External images", make("ul", { class: "names" }, image.externals.map(external))) : null,
    image.dependents.length > 0 ? part(`Dependents ${image.dependents.length}`, make("ul", { class: "names" }, image.dependents.map(item)),
      make("button", { type: "button", onclick: () => { fold(image.index); drawDetails(image.index); } },
        `${folded ? "Unfold" : "Fold"} them in the graph`)) : null,
  ];
}

function stepped(image) {
  const parts = [...image.steps, ...image.operations];
  const longest = Math.max(1, ...parts.map((work) => work.took));
  const row = (work) => {
    const time = work.cached ? "cached" : duration(work.took);
    const odd = work.broke ? "broke" : work.cached ? "cached" : work.open ? "open" : "";
    const size = make("span", { class: `step-bar ${odd} ${work.kind && !work.broke ? `p-${work.kind}` : ""}`, "aria-hidden": "true" });
    size.style.width = `${Math.max(1, (100 * work.took) / longest)}%`;
    const sent = work.sent === undefined ? "" : `, ${bytes(work.sent)}`;
    return make("li", { class: odd },
      make("span", { class: "step-time" }, work.broke ? `✕ ${time}` : work.cached ? `◐ ${time}` : time),
      make("span", { class: work.kind ? "operation-text" : "step-text" }, work.text ?? OPERATIONS[work.kind], sent, size));
  };
  const list = (name, all) => (all.length === 0 ? null : part(`${name} ${all.length}`, make("ol", { class: "step-list" }, all.map(row))));
  return [list("Steps", image.steps), list("Operations", image.operations)];
}

function logged(image) {
  if (image.tail.length === 0) return null;
  return part(`Last ${count(image.tail.length, "line")} of the log`, log(image.tail));
}
