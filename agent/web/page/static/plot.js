// Lines over time, as SVG: enough for the uplink of a room, and the devices in it.

const WIDTH = 600;
const HEIGHT = 160;

/** Make an element of SVG. */
export function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Draw `lines`, each { name, points: [[x, y]] }, from zero up, into the SVG `plot`; `span` is from which x to which. */
export function draw(plot, lines, span) {
  const all = lines.flatMap(({ points }) => points);
  const [first, last] = span ?? [Math.min(...all.map(([x]) => x)), Math.max(...all.map(([x]) => x))];
  const top = Math.max(...all.map(([, y]) => y)) * 1.1 || 1;
  const place = ([x, y]) => `${((x - first) / (last - first || 1)) * WIDTH},${HEIGHT * (1 - y / top)}`;
  plot.setAttribute("viewBox", `0 -4 ${WIDTH} ${HEIGHT + 8}`);
  plot.replaceChildren(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
    ...lines.map(({ name, points }) => shape("polyline", { class: name, points: points.map(place).join(" ") })));
}
