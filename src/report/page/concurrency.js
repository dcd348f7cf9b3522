// How many images were built at once, and how many could have been: below the chart, on its scale.

// The numbers after each change: when, how many are built, how many wait for a place.
function loadOverTime() {
  const changes = [];
  for (const image of images.filter((it) => it.begun)) {
    changes.push([image.start, 1, 0], [image.end, -1, 0]);
    if (image.waited > 0) changes.push([image.ready, 0, 1], [image.start, 0, -1]);
  }
  changes.sort((a, b) => a[0] - b[0]);
  let [built, waiting] = [0, 0];
  const points = [[0, 0, 0]];
  changes.forEach(([at, more, behind], index) => {
    built += more;
    waiting += behind;
    // Of all changes of one moment the sum counts.
    if (changes[index + 1]?.[0] !== at) points.push([at, built, waiting]);
  });
  return points;
}

// Both on scales of their own: where hundreds wait, the few that are built would not be seen.
function drawLoad() {
  const points = loadOverTime();
  const band = (column, name, least, words) => {
    const most = Math.max(0, ...points.map((point) => point[column]));
    const scale = Math.max(1, least, most);
    let path = "M0 1";
    points.forEach((point, index) => {
      path += `V${(1 - point[column] / scale).toFixed(3)}H${points[index + 1]?.[0] ?? run.took}`;
    });
    return [
      make("div", { class: "caption" }, make("span", { class: `swatch swatch-${name}` }), words(most)),
      draw("svg", { viewBox: `0 0 ${Math.max(1, run.took)} 1`, preserveAspectRatio: "none", "aria-hidden": "true" },
        draw("path", { class: name, d: `${path}V1Z` })),
    ];
  };
  const isBusy = points.some((point) => point[2] > 0);
  const load = byId("load");
  load.append(
    ...band(1, "building", run.jobs, (most) => `built at once: at most ${most} of ${run.jobs}`),
    ...(isBusy ? band(2, "waiting", 1, (most) => `ready, and waiting for a place: at most ${most}`) : []));
  load.setAttribute("aria-label", [...load.querySelectorAll(".caption")].map((it) => it.textContent).join("; "));
}
