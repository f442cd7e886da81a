// The cameras and microphones of a new session, where there are several; none chosen is Liput's own choice.

import { ask } from "./api.js";
import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { has, t } from "./texts.js";

let seen; // the devices that were asked for

const named = ({ name, role }) => (role && has(`role.${role}`) ? `${t(`role.${role}`)} (${name})` : name);

function offer(box, name, devices) {
  box.parentElement.hidden = devices.length < 2;
  keep(box, devices, ({ id }) => id,
    ({ id }) => make("label tick", make("input", { type: "checkbox", name, value: id }), make("span")),
    (row, device) => say(row.lastChild, named(device)));
}

function show(all) {
  const there = all.filter(({ health }) => health.state !== "lost");
  const [cameras, microphones] = [false, true].map((isSound) => there.filter(({ kind }) => (kind === "microphone") === isSound));
  offer(el("new-cameras"), "video", cameras);
  offer(el("new-microphones"), "audio", microphones);
}

/** Return the chosen sources of the form `data`. */
export const chosen = (data) => Object.fromEntries(["video", "audio"].map((name) => [`${name}s`, data.getAll(name)]));

live.addEventListener("state", ({ detail: { devices, sessions } }) => {
  if (sessions.length || devices === seen) return;
  seen = devices;
  ask("GET", "/devices").then(show, () => {}); // what is refused is said where devices are shown
});
