// What devices and the PC did, for IT: as plots, and line by line, the newest first.

import { ask, complain } from "./api.js";
import { el, make, onSubmit, say } from "./dom.js";
import { draw, shape } from "./plot.js";
import { exactMoment, has, inWords, moment, number, t } from "./texts.js";
import { checkName } from "./words.js";

const MOST = 500;
const MOST_EXPORTED = 5000;
const APART = 2; // steps without a sample, where a device was open all the same
const BADGES = { error: "bad", warn: "warn", info: "", debug: "" };

/** Say what happened, and which fault it was. */
const happened = ({ kind, detail }) => [[`log.kind.${kind}`, kind], detail?.fault && [`log.fault.${detail.fault}`, detail.fault]]
  .filter(Boolean).map(([key, word]) => (has(key) ? t(key) : word)).join(": ");

const row = (line) => make("tr", make("td number", exactMoment(line.at)), make("th", { scope: "row" }, line.name || line.device),
  make("td", make(`span badge ${BADGES[line.level]}`, happened(line))),
  line.detail?.text ? make("td", `${checkName(line.detail.check)}: ${inWords(line.detail.text)}`) : make("td", { lang: "en" }, line.reason));

/** Return the lines of a rate: it ends where the device was closed. */
function linesOf(rates) {
  const lines = [];
  let before = -Infinity;
  rates.forEach((rate, step) => {
    if (rate === null) return;
    if (step - before > APART) lines.push({ name: "rate", points: [[step, rate]] });
    lines.at(-1).points.push([step, rate]); // the first one twice: it is seen alone too
    before = step;
  });
  return lines;
}

function plotOf({ name, device, fps, lost, faults }, since, until) {
  const rates = fps.filter((rate) => rate !== null);
  const sum = (counts) => counts.reduce((all, count) => all + count, 0);
  const [top, most] = [Math.max(1, ...rates), Math.max(...lost)];
  const bars = (kind, counts, high) => counts.flatMap((count, step) => (count ? [{ name: kind, points: [[step, 0], [step, high(count)]] }] : []));
  const facts = [["lost", "log.plot.lost", { count: number(sum(lost)) }], ["fault", "log.plot.faults", { count: number(sum(faults)) }]];
  if (rates.length) facts.unshift(["rate", "log.plot.rate", { least: number(Math.min(...rates), 1), most: number(top, 1) }]);
  const words = facts.map(([kind, key, fact]) => make(`span key ${kind}`, t(key, fact)));
  const plot = shape("svg", { class: "plot", role: "img", "aria-label": name || device });
  draw(plot, [...linesOf(fps), ...bars("lost", lost, (count) => (count / most) * top), ...bars("fault", faults, () => top)], [0, fps.length - 1]);
  return make("li panel stack", make("h2", name || device), plot,
    make("p spread small muted", ...[since, until].map((at) => make("span", moment(at)))), make("p row small", ...words));
}

let asked = 0; // the answer to an earlier choice may come later

async function showPlots(query, mine) {
  const { since, until, devices } = await ask("GET", `/health/timeline?${query}`);
  if (mine === asked) el("plots").replaceChildren(...devices.map((device) => plotOf(device, since, until)));
}

async function load() {
  const mine = ++asked;
  const query = new URLSearchParams({ since: el("since").value });
  if (el("device").value) query.set("device", el("device").value);
  showPlots(`${query}`, mine).catch(complain);
  query.set("level", el("level").value);
  for (const kind of ["csv", "json"]) el(kind).href = `/api/v1/health${kind === "csv" ? ".csv" : ""}?${query}&limit=${MOST_EXPORTED}`;
  query.set("limit", MOST);
  try {
    const { lines, more } = await ask("GET", `/health?${query}`);
    if (mine !== asked) return;
    lines.reverse();
    el("lines").replaceChildren(...lines.map(row));
    el("lines-box").hidden = !lines.length;
    say(el("nothing"), lines.length ? (more ? t("log.more", { count: MOST }) : "") : t("log.none"));
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
onSubmit(el("filter"), load);
load();
