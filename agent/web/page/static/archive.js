// The archive: found by words and days, the newest first; what is looked for stands in the address.

import { ask, complain, doing } from "./api.js";
import { el, make, say } from "./dom.js";
import { clock, moment, size, t, titleOf } from "./texts.js";

const AT_ONCE = 50;
const BADGES = { sealed: "ok", unfinished: "warn", damaged: "bad", elsewhere: "" };

/** Where the words were found: those in brackets are marked. */
function snippet(text) {
  const parts = text.split(/\[([^\]]*)\]/);
  return make("p small muted", ...parts.map((part, place) => (place % 2 ? make("mark", part) : part)));
}

/** Whether the words stand somewhere else than in the title. */
const elsewhere = ({ snippet: text, title }) => text.includes("[") && text.replaceAll(/[[\]]/g, "") !== title;

function row(found) {
  const cells = [moment(found.started_at), found.duration_s === null ? "" : clock(found.duration_s), size(found.bytes)];
  return make("tr",
    make("th", { scope: "row" }, make("a", { href: `/archive/${encodeURIComponent(found.id)}` }, titleOf(found) || found.id),
      elsewhere(found) ? snippet(found.snippet) : null),
    ...cells.map((text) => make("td number", text)),
    make("td", make(`span badge ${BADGES[found.state]}`, t(`archive.state.${found.state}`))));
}

async function load(offset) {
  const query = new URLSearchParams(location.search);
  query.delete("lang");
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  query.set("limit", AT_ONCE);
  query.set("offset", offset);
  const { packages, more } = await ask("GET", `/archive?${query}`);
  if (!offset) el("found").replaceChildren();
  el("found").append(...packages.map(row));
  const count = el("found").children.length;
  el("found-box").hidden = !count;
  const isAsked = [...query.keys()].some((name) => name !== "limit" && name !== "offset");
  say(el("nothing"), count ? "" : t(isAsked ? "archive.none" : "archive.empty"));
  el("more").hidden = !more;
}

for (const [name, value] of new URLSearchParams(location.search)) {
  const field = el("search").elements.namedItem(name);
  if (field) field.value = value;
}
el("more").addEventListener("click", () => doing(el("more"), () => load(el("found").children.length)));
load(0).catch(complain);
