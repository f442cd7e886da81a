// A card for each device: what it is, what it is used as, how it is and why.

import { ask, complain, doing } from "./api.js";
import { controlsOf } from "./controls.js";
import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { watch } from "./preview.js";
import { has, moment, t } from "./texts.js";
import { faultText } from "./words.js";

const SELDOM_MS = 10_000; // beside what the daemon tells, for whoever has taken a device without a word
const OFTEN_MS = 1500; // where nobody watches
const ROLES = { camera: ["podium", "room", "slides"], "capture-card": ["slides", "podium", "room"], microphone: ["microphone"] };
const BADGES = { ok: "ok", degraded: "warn", busy: "warn", silent: "bad", frozen: "bad", lost: "bad" };

let devices = [];
let dragged = null;

/** Use a device as `role`, null: as nothing. It has one at a time. */
const give = ({ id }, role, place) => doing(place, async () => {
  const path = `/devices/${encodeURIComponent(id)}/role`;
  if (role && devices.find((device) => device.id === id)?.role) await ask("POST", path, { role: null });
  await ask("POST", path, { role });
  await load();
});

/** Return where the card of a device that suits is dropped, to be used as `role`. */
function place(role) {
  const box = make("li", { className: "panel" }, make("p", { className: "name", textContent: roleName(role) }), make("p", { className: "small muted" }));
  const suits = () => dragged && ROLES[dragged.kind].includes(role.replace(/\d+$/, ""));
  box.addEventListener("dragover", (event) => {
    if (suits()) event.preventDefault();
    box.classList.toggle("over", suits());
  });
  for (const end of ["dragleave", "drop"]) box.addEventListener(end, () => box.classList.remove("over"));
  box.addEventListener("drop", () => give(dragged, role, box));
  return box;
}

function create(device) {
  const choice = make("select", { "aria-label": t("devices.role", { name: device.name }) });
  choice.addEventListener("change", () => give(device, choice.value || null, choice));
  const handle = make("div", { className: "spread handle", draggable: true }, make("h2", { textContent: device.name }), make("span", { className: "badge state" }));
  handle.addEventListener("dragstart", ({ dataTransfer }) => {
    dragged = device;
    dataTransfer.setData("text/plain", device.name); // else Firefox does not begin
    dataTransfer.setDragImage(handle.parentElement, 0, 0);
  });
  return make("li", { className: "panel stack" }, handle, make("p", { className: "small muted kind" }), make("p", { className: "why" }),
    make("div", { className: "field" }, make("span", { className: "small muted", textContent: t("devices.role.label") }), choice),
    device.node && controlsOf(device, showPicture));
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

const roleName = (name) => (has(`role.${name}`) ? t(`role.${name}`) : name);

function show(now) {
  devices = now;
  say(el("intro"), t(devices.length ? "devices.intro" : "devices.none"));
  keep(el("devices"), devices, (device) => device.id, create, update);
  const roles = new Set([...ROLES.camera, ...ROLES.microphone, ...devices.map(({ role }) => role)]);
  roles.delete(null);
  el("roles").hidden = !devices.length;
  keep(el("roles"), roles, (role) => role, place,
    (box, role) => say(box.lastChild, devices.find((device) => device.role === role)?.name ?? t("devices.role.nobody")));
}

const load = async () => show(await ask("GET", "/devices"));

let sessions = [];

/** Show what the camera sees whose controls are open: it is known while a session has it. */
function showPicture() {
  const card = document.querySelector("#devices > :has(> [open])");
  const sourceOf = ({ status }) => status?.sources.find(({ id }) => id === card?.dataset.key);
  const session = sessions.find(sourceOf);
  if (card) card.querySelector(".picture").hidden = !session;
  const source = session && (sourceOf(session).role ?? sourceOf(session).name);
  watch(session, session ? [{ source, fps: 5, width: 480, canvas: () => card.querySelector("canvas") }] : [], false);
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
  ({ sessions, devices: told } = detail);
  showPicture();
  if (told !== seen) follow();
});
document.addEventListener("visibilitychange", follow);
follow();
