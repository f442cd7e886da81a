// A card for each device: what it is, what it is used as, how it is and why.

import { ask, complain, doing } from "./api.js";
import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { moment, t } from "./texts.js";
import { faultText } from "./words.js";

const SELDOM_MS = 10_000; // beside what the daemon tells, for whoever has taken a device without a word
const OFTEN_MS = 1500; // where nobody watches
const ROLES = { camera: ["podium", "room", "slides"], "capture-card": ["slides", "podium", "room"], microphone: ["microphone"] };
const BADGES = { ok: "ok", degraded: "warn", busy: "warn", silent: "bad", frozen: "bad", lost: "bad" };

function create(device) {
  const choice = make("select", { "aria-label": t("devices.role", { name: device.name }) });
  choice.addEventListener("change", () => doing(choice, async () => {
    await ask("POST", `/devices/${encodeURIComponent(device.id)}/role`, { role: choice.value || null });
    await load();
  }));
  return make("li", { className: "panel stack" },
    make("div", { className: "spread" }, make("h2", { textContent: device.name }), make("span", { className: "badge state" })),
    make("p", { className: "small muted kind" }), make("p", { className: "why" }),
    make("div", { className: "field" }, make("span", { className: "small muted", textContent: t("devices.role.label") }), choice));
}

function update(card, device) {
  const { health, modes, role } = device;
  const state = card.querySelector(".state");
  state.className = `badge state ${BADGES[health.state] ?? ""}`;
  say(state, t(`health.${health.state}`));
  const best = modes.reduce((most, mode) => (mode.width * mode.height > (most?.width ?? 0) * (most?.height ?? 0) ? mode : most), null);
  const facts = [t(`devices.kind.${device.kind}`), device.port && t("devices.port", { port: device.port }),
    best && t("devices.best", { width: best.width, height: best.height })];
  say(card.querySelector(".kind"), facts.filter(Boolean).join(" · "));
  const since = health.since ? ` (${t("devices.since", { time: moment(health.since) })})` : "";
  say(card.querySelector(".why"), health.state === "ok" ? "" : faultText(health.fault, role ?? device.name, health.reason) + since);
  const choice = card.querySelector("select");
  if (choice === document.activeElement) return;
  const roles = [...new Set([...ROLES[device.kind], ...(role ? [role] : [])])];
  choice.replaceChildren(new Option(t("role.none"), "", false, !role),
    ...roles.map((name) => new Option(roleName(name), name, false, name === role)));
}

function roleName(name) {
  const known = { slides: "role.slides", podium: "role.podium", room: "role.room", microphone: "role.microphone" };
  return known[name] ? t(known[name]) : name;
}

async function load() {
  const devices = await ask("GET", "/devices");
  say(el("intro"), t(devices.length ? "devices.intro" : "devices.none"));
  keep(el("devices"), devices, (device) => device.id, create, update);
}

let seen; // the number of what is shown, or is being asked for
let told;
let timer;
let isLoading = false;

/** Ask now, and once more when something has changed meanwhile. */
async function follow() {
  if (isLoading || document.hidden) return;
  isLoading = true;
  clearTimeout(timer);
  do {
    seen = told;
    await load().catch((error) => error.status === 0 || complain(error)); // that it is away is said already
  } while (seen !== told);
  isLoading = false;
  timer = setTimeout(follow, told === null ? OFTEN_MS : SELDOM_MS);
}

live.addEventListener("state", ({ detail }) => {
  told = detail.devices;
  if (told !== seen) follow();
});
document.addEventListener("visibilitychange", follow);
follow();
