// The check before a session: what is not right comes first, with what to do about it.

import { ask, complain, doing, hold, Refused } from "./api.js";
import { el, keep, make, onSubmit, say } from "./dom.js";
import { byGravity, rowOf, verdictOf } from "./findings.js";
import { live } from "./live.js";
import { draw } from "./plot.js";
import { moment, number, t } from "./texts.js";

const BY_HAND = "by-hand: ";
const MOST = 20;

/** What only people can see is ticked off here, and counts with the next check. */
function create(found) {
  if (found.name.startsWith(BY_HAND) && found.verdict !== "ok") {
    return rowOf(found, make("label tick",
      make("input", { type: "checkbox", name: "have", value: found.name.slice(BY_HAND.length) }), t("check.seen")));
  }
  return found.code === "left-out" ? rowOf(found, t("check.not-quick")) : rowOf(found);
}

function show(found) {
  const checks = byGravity(found?.checks ?? []);
  const [fine, problems] = [checks.filter(({ verdict }) => verdict === "ok"), checks.filter(({ verdict }) => verdict !== "ok")];
  const key = (one) => `${found.at} ${one.name} ${one.code}`;
  el("verdict").hidden = !found;
  el("problems-box").hidden = !problems.length;
  el("fine-box").hidden = !fine.length;
  say(el("progress"), found ? "" : t("check.never"));
  if (!found) return;
  const [look, words] = verdictOf(found);
  el("verdict").className = `alarm ${look}`;
  say(el("verdict-text"), t(words));
  say(el("verdict-at"), t("check.at", { time: moment(found.at) }));
  say(el("fine-name"), t("check.fine", { count: fine.length }));
  keep(el("problems"), problems, key, create);
  keep(el("fine"), fine, key, create);
}

/** Show a run that goes on, or what the last one found. */
function take({ running, last, error }) {
  hold(el("run"), running);
  show(last);
  if (running) say(el("progress"), t("check.running"));
  if (error) complain(new Refused(error));
}

const wish = () => ({ quick: el("quick").checked,
  have: [...document.querySelectorAll("input[name=have]:checked")].map((box) => box.value) });

onSubmit(el("check"), () => doing(el("run"), () => ask("POST", "/checks", wish())));
live.addEventListener("check-run", ({ detail }) => take(detail));

let wasLost = false; // a run that ended while nothing was heard of Liput is asked for
live.addEventListener("lost", () => {
  wasLost = true;
});
live.addEventListener("state", () => {
  if (wasLost) load();
  wasLost = false;
});

/** Show how the uplink has been; the newest measurement comes first. */
function showHistory(all) {
  const measured = all.filter(({ up_bps: up }) => up !== null);
  el("history").hidden = measured.length < 2;
  if (measured.length < 2) return;
  const line = (name, value) => ({ name, points: measured.filter((one) => value(one)).map((one) => [Date.parse(one.at), value(one)]).reverse() });
  draw(el("plot"), [line("up", (one) => one.up_bps), line("need", (one) => one.need_bps)]);
  el("measured").replaceChildren(...measured.slice(0, MOST).map((one) => make("tr", make("th", { scope: "row" }, moment(one.at)),
    ...[one.up_bps, one.need_bps].map((rate) => make("td number", rate ? t("unit.mbps", { value: number(rate / 1e6, 1) }) : "")))));
}

async function load() {
  ask("GET", "/checks/history").then(showHistory, complain);
  await ask("GET", "/checks").then(take, complain);
}
load();
