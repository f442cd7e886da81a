// What devices and the PC did, for IT: filtered, the newest first.

import { ask, complain } from "./api.js";
import { el, make, say } from "./dom.js";
import { exactMoment, t } from "./texts.js";

const MOST = 500;
const BADGES = { error: "bad", warn: "warn", info: "", debug: "" };

const row = (line) => make("tr", {}, make("td", { className: "number", textContent: exactMoment(line.at) }),
  make("th", { scope: "row", textContent: line.name || line.device }),
  make("td", {}, make("span", { className: `badge ${BADGES[line.level]}`, textContent: line.detail?.fault ? `${line.kind}: ${line.detail.fault}` : line.kind })),
  make("td", { textContent: line.reason }));

async function load() {
  const query = new URLSearchParams({ since: el("since").value, level: el("level").value });
  if (el("device").value) query.set("device", el("device").value);
  el("export").href = `/api/v1/health.csv?${query}`;
  query.set("limit", MOST);
  try {
    const lines = (await ask("GET", `/health?${query}`)).lines.reverse();
    el("lines").replaceChildren(...lines.map(row));
    el("lines-box").hidden = !lines.length;
    say(el("nothing"), lines.length ? "" : t("log.none"));
    const known = new Set([...el("device").options].map((option) => option.value));
    for (const line of lines) {
      if (known.has(line.device)) continue;
      known.add(line.device);
      el("device").append(new Option(line.name || line.device, line.device));
    }
  } catch (error) {
    complain(error);
  }
}

el("filter").addEventListener("change", load);
el("filter").addEventListener("submit", (event) => event.preventDefault());
load();
