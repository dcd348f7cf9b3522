// The head of the page: the subject, the result, the search, and the filters.

function drawHeader() {
  document.title = run ? `layers: run ${data.title}` : `layers: ${data.title}`;
  const search = make("input", {
    id: "search", type: "search", placeholder: "Search images", autocomplete: "off", spellcheck: "false",
    "aria-label": "Search images", "aria-keyshortcuts": "/",
    oninput: (event) => {
      state.query = event.target.value;
      filter();
    },
  });
  const theme = make("button", { id: "theme", type: "button", onclick: toggleTheme }, "Dark");
  const keys = make("button", { id: "show-keys", type: "button", "aria-label": "Keyboard shortcuts", onclick: showKeys }, "?");
  byId("top").append(
    make("div", { class: "title" },
      make("h1", {}, make("span", { class: "soft" }, run ? "layers run " : "layers graph "), make("span", { class: "name" }, data.title)),
      make("div", { class: "tools" }, search, make("span", { id: "found", class: "soft" }), theme, keys)),
    run ? drawFacts() : make("p", { class: "facts" }, describeGraph()),
  );
  listeners.filter.push((filtered) => {
    const text = filtered ? `${state.matching.size} of ${images.length}` : "";
    byId("found").textContent = text;
    say(filtered ? `${count(state.matching.size, "image")} found` : "");
  });
  nameTheme();
}

function describeGraph() {
  const edges = images.reduce((sum, image) => sum + image.parents.length, 0);
  return `${count(images.length, "image")}, ${count(edges, "edge")}`;
}

function drawFacts() {
  const failed = run.state === "finished" && images.some((it) => it.outcome === "failed");
  const state = make("strong", { class: run.state === "finished" && !failed ? "state" : "state odd" }, failed ? "failed" : run.state);
  const facts = [
    state, `${run.counts} in ${duration(run.took)}`, moment(run.began), run.engine, count(run.jobs, "slot"),
  ].filter(Boolean);
  const compared = run.prior ? [`compared with ${run.prior.id} (${duration(run.prior.took)})`] : [];
  return make("div", { class: "facts" },
    make("p", {}, [...facts, ...compared].map((fact) => make("span", { class: "fact" }, fact))),
    make("div", { class: "chips", role: "group", "aria-label": "Show only" }, drawChips()),
    run.command === undefined ? null : make("p", { class: "command" }, make("code", {}, run.command)));
}

// Creates a button per outcome that occurs, which filters by it.
function drawChips() {
  const counts = new Map();
  images.forEach((image) => counts.set(image.outcome, (counts.get(image.outcome) ?? 0) + 1));
  const present = [...counts.keys()].sort((a, b) => OUTCOMES[a].order - OUTCOMES[b].order);
  return present.map((outcome) => make("button", {
    type: "button", class: "chip", "aria-pressed": "false",
    onclick: (event) => {
      const chip = event.currentTarget;
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      if (pressed) state.outcomes.add(outcome);
      else state.outcomes.delete(outcome);
      filter();
    },
  }, mark(outcome), ` ${counts.get(outcome)} ${OUTCOMES[outcome].word}`));
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// The choice is not saved. When the page is opened again, it follows the system.
function toggleTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
}

function nameTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
}
