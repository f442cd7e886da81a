// Where the session is streamed to: how each is, why, and what can be done about it.

import { ask, doing } from "./api.js";
import { el, keep, make, onSubmit, press, say } from "./dom.js";
import { has, moment, number, t } from "./texts.js";

const BADGES = { live: "ok", connecting: "", listening: "", armed: "", waiting: "bad", stopped: "", removed: "" };
let current = null;

const path = (rest = "") => `/sessions/${current.id}/destinations${rest}`;

const button = (key, short, name, action) => press(t(short), (made) => doing(made, action), { "aria-label": t(key, { name }) });

function create({ name }) {
  const at = encodeURIComponent(name);
  return make("li", make("div spread", make("span name", name), make("span badge")), make("p small why"), make("p small muted since"), make("p small muted dropped"),
    make("div row",
      button("dest.restart", "dest.restart.short", name, () => ask("POST", path(`/${at}/restart`), {})),
      button("dest.remove", "dest.remove.short", name, () => ask("DELETE", path(`/${at}`)))));
}

function update(row, line) {
  const isGone = line.state === "removed" || line.state === "stopped";
  const badge = row.querySelector(".badge");
  const isSlow = line.state === "live" && line.reason;
  badge.className = `badge ${isSlow ? "warn" : (BADGES[line.state] ?? "")}`;
  say(badge, t(`dest.state.${line.state}`));
  const known = line.reason && has(`reason.${line.reason}`);
  say(row.querySelector(".why"), isGone || !(line.reason || line.message) ? "" : t(known ? `reason.${line.reason}` : "reason.failed"));
  const rate = line.state === "live" && current.status.stream?.bitrate;
  say(row.querySelector(".since"), [line.since && t("devices.since", { time: moment(line.since) }),
    rate && t("unit.mbps", { value: number(rate / 1e6, 1) })].filter(Boolean).join(" · "));
  say(row.querySelector(".dropped"), line.dropped ? t("dest.dropped", { count: number(line.dropped) }) : "");
  row.lastElementChild.hidden = isGone;
}

export function showDestinations(session) {
  current = session;
  const lines = session?.status?.destinations ?? [];
  el("no-destination").hidden = lines.length > 0;
  keep(el("destinations"), lines, (line) => line.name, create, update);
  const there = new Set(lines.filter((line) => line.state !== "removed").map((line) => line.name));
  const choice = el("add-name");
  for (const option of choice.options) option.hidden = option.disabled = there.has(option.value);
  const first = [...choice.options].find((option) => !option.disabled);
  if (first && choice.selectedOptions[0]?.disabled !== false) choice.value = first.value;
  el("add-destination").hidden = !first;
}

onSubmit(el("add-destination"), (button) => {
  const to = path(), asked = { name: el("add-name").value };
  doing(button, () => ask("POST", to, asked), () => ask("POST", to, { ...asked, although_refused: true }));
});
