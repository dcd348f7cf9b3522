// How many images were built at the same time, and how many more could have been. Below the chart, with its
// scale.

// Returns the numbers after each change: the time, the images being built, and the images waiting for a slot.
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
    // Combine the changes at the same time.
    if (changes[index + 1]?.[0] !== at) points.push([at, built, waiting]);
  });
  return points;
}

// Each with its own scale: next to hundreds of waiting images, the few that are built would be invisible.
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
    ...band(1, "building", run.jobs, (most) => `building: at most ${most} in ${count(run.jobs, "slot")}`),
    ...(isBusy ? band(2, "waiting", 1, (most) => `queued: at most ${most}`) : []));
  load.setAttribute("aria-label", [...load.querySelectorAll(".caption")].map((it) => it.textContent).join("; "));
}
