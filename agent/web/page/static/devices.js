// A card for each device: what it is, what it is used as, how it is and why.

import { ask, complain, doing } from "./api.js";
import { controlsOf } from "./controls.js";
import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { watch } from "./preview.js";
import { has, inWords, moment, t } from "./texts.js";

const SELDOM_MS = 10_000; // beside what the daemon tells, for whoever has taken a device without a word
const OFTEN_MS = 1500; // where nobody watches
const ROLES = { camera: ["podium", "room", "slides"], "capture-card": ["slides", "podium", "room"], microphone: ["microphone"] };
const BADGES = { ok: "ok", degraded: "warn", busy: "warn", silent: "bad", frozen: "bad", lost: "bad" };

let devices = [];

/** Use a device as `role`, null: as nothing. It has one at a time. */
const give = ({ id }, role, place) => doing(place, async () => {
  await ask("POST", `/devices/${encodeURIComponent(id)}/role`, { role });
  await load();
});

const suits = ({ kind }, role) => ROLES[kind].includes(role.replace(/\d+$/, ""));

/** Let a device be dragged by the name on its card, with the mouse or a finger, onto a role that suits. */
function dragging(handle, device) {
  const card = handle.closest("li");
  let from;
  let over;
  const hold = (place) => {
    over = place;
    for (const one of el("roles").children) one.classList.toggle("over", one === over);
  };
  handle.onpointerdown = (event) => {
    if (event.button) return;
    from = event;
    handle.setPointerCapture(event.pointerId);
  };
  handle.onpointermove = ({ clientX: x, clientY: y }) => {
    if (!from) return;
    el("roles").scrollIntoView({ block: "nearest" });
    card.style.translate = `${x + scrollX - from.pageX}px ${y + scrollY - from.pageY}px`;
    hold(document.elementsFromPoint(x, y).find((one) => one.matches("#roles > li") && suits(device, one.dataset.key)));
  };
  handle.onpointerup = () => over && give(device, over.dataset.key, over);
  handle.onlostpointercapture = () => {
    hold();
    from = null;
    card.style.translate = "";
  };
}

function create(device) {
  const choice = make("select", { "aria-label": t("devices.role", { name: device.name }) });
  choice.addEventListener("change", () => give(device, choice.value || null, choice));
  const handle = make("h2", { className: "handle", textContent: device.name });
  const card = make("li", { className: "panel stack" },
    make("div", { className: "spread" }, handle, make("span", { className: "badge state" })), make("p", { className: "small muted kind" }),
    make("p", { className: "why" }),
    make("div", { className: "field" }, make("span", { className: "small muted", textContent: t("devices.role.label") }), choice),
    device.node && controlsOf(device, showPicture));
  dragging(handle, device);
  return card;
}

function update(card, device) {
  const { health, modes, role } = device;
  const [state, kind, why, choice] = [".state", ".kind", ".why", "select"].map((place) => card.querySelector(place));
  state.className = `badge state ${BADGES[health.state] ?? ""}`;
  say(state, t(`health.${health.state}`));
  const best = modes.reduce((most, mode) => (mode.width * mode.height > (most?.width ?? 0) * (most?.height ?? 0) ? mode : most), null);
  const facts = [t(`devices.kind.${device.kind}`), device.port && t("devices.port", { port: device.port }),
    best && t("devices.best", { width: best.width, height: best.height })];
  say(kind, facts.filter(Boolean).join(" · "));
  const since = health.since ? ` (${t("devices.since", { time: moment(health.since) })})` : "";
  say(why, health.state === "ok" ? "" : inWords(device.text ?? health.reason ?? "") + since);
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
  keep(el("roles"), roles, (role) => role,
    (role) => make("li", { className: "panel" }, make("p", { className: "name", textContent: roleName(role) }), make("p", { className: "small muted" })),
    (box, role) => say(box.lastChild, devices.find((device) => device.role === role)?.name ?? t("devices.role.none")));
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
  watch(session, session ? [{ source, fps: 5, width: 480, canvas: () => card.querySelector("canvas") }] : [], false,
    Boolean(card));
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
  ({ devices: told } = detail);
  sessions = detail.sessions.length ? detail.sessions : [detail.preview ?? {}];
  showPicture();
  if (told !== seen) follow();
});
document.addEventListener("visibilitychange", follow);
follow();
