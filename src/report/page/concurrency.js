// How many images were built at once, and how many could have been: below the chart, on its scale.

function drawLoad() {
  const changes = [];
  for (const image of images.filter((it) => it.begun)) {
    changes.push([image.start, 1, 0], [image.end, -1, 0]);
    if (image.waited > 0) changes.push([image.ready, 0, 1], [image.start, 0, -1]);
  }
  changes.sort((a, b) => a[0] - b[0]);
  let built = 0;
  let waiting = 0;
  const points = [[0, 0, 0]];
  changes.forEach(([at, more, behind], index) => {
    built += more;
    waiting += behind;
    // Of all changes of one moment the sum counts.
    if (changes[index + 1]?.[0] !== at) points.push([at, built, waiting]);
  });
  points.push([run.t, 0, 0]);
  const most = Math.max(1, ...points.map(([, a, b]) => a + b));
  const mostBuilt = Math.max(0, ...points.map(([, a]) => a));
  const mostWaiting = Math.max(0, ...points.map(([, , b]) => b));
  const area = (value) => {
    let path = `M0 ${most}`;
    points.forEach(([at, a, b], index) => {
      const level = most - value(a, b);
      path += `V${level}H${points[index + 1]?.[0] ?? at}`;
    });
    return `${path}V${most}Z`;
  };
  const load = byId("load");
  load.setAttribute("aria-label", `At most ${mostBuilt} at once, and ${mostWaiting} waiting for a place`);
  load.append(
    draw("svg", { viewBox: `0 0 ${Math.max(1, run.t)} ${most}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      draw("path", { class: "waiting", d: area((a, b) => a + b) }),
      draw("path", { class: "building", d: area((a) => a) })),
    make("span", { class: "caption" },
      make("span", { class: "swatch swatch-building" }), `at once, at most ${mostBuilt} `,
      make("span", { class: "swatch swatch-waiting" }), `ready and waiting, at most ${mostWaiting}`));
}
