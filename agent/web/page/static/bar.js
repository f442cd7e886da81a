// The sessions on every page: light, clock, title, Stop; and what the browser's tab says of them.

import { ask, doing } from "./api.js";
import { el, keep, make, press, say, sure } from "./dom.js";
import { Light, records } from "./light.js";
import { live } from "./live.js";
import { makeEnd, showEnd } from "./planned.js";
import { clock, t, titleOf } from "./texts.js";

const narrow = matchMedia("(max-width: 40rem)"); // a phone: Stop is below the alarms there
const lights = new Map(); // by session
let named = null; // the session that the dialog would end: by the time of the answer another one may be shown
let name = document.title;
let mark = "";

/** Call the tab as its page does; a light stands before it while a session records. */
export function nameTab(text = name) {
  name = text;
  const now = `${mark}${name}`;
  if (document.title !== now) document.title = now;
}

/** Return the word for the light of `session`. */
export function wordOf(session) {
  if (!lights.has(session.id)) lights.set(session.id, new Light());
  return lights.get(session.id).word(session);
}

/** Ask whether to end a session, and end it. */
export function stop(button, session) {
  named = session;
  sure(el("stop-dialog"), t("stop.body", { title: session.title }), () =>
    doing(button, () => ask("POST", `/sessions/${session.id}/stop`, {})));
}

function create(session) {
  const button = press(t("stop.short"), () => stop(button, session), { "aria-label": t("stop.of", { title: session.title }) });
  button.classList.add("stop");
  return make("li", make("span light"), make("span number"), make("a name", { href: "/" }), makeEnd(), button);
}

function update(row, session) {
  const [light, time, title, end, button] = row.children;
  const word = wordOf(session);
  light.className = `light ${word}`;
  say(light, t(`light.${word}`));
  say(time, records(session) ? clock(session.status.elapsed_s) : "");
  say(title, titleOf(session));
  showEnd(end, session);
  button.hidden = !records(session);
}

live.addEventListener("state", ({ detail: { sessions } }) => {
  for (const id of lights.keys()) if (!sessions.some((session) => session.id === id)) lights.delete(id);
  const isShownBelow = location.pathname === "/" && sessions.length < 2 && !narrow.matches;
  keep(el("bar"), isShownBelow ? [] : sessions, ({ id }) => id, create, update);
  mark = sessions.some(records) ? "● " : "";
  nameTab();
  if (el("stop-dialog").open && !sessions.some((one) => one.id === named.id && records(one))) el("stop-dialog").close();
});

/** Nothing is known of the sessions until Liput answers again. */
function unknown() {
  for (const light of lights.values()) light.forget();
  for (const light of document.querySelectorAll(".light")) {
    light.className = "light unknown";
    say(light, t("light.unknown"));
  }
}
live.addEventListener("lost", unknown);
live.addEventListener("denied", unknown);
