// What every page has: the connection and what is said of it.

import "./bar.js";
import { el, say } from "./dom.js";
import { live } from "./live.js";
import { t } from "./texts.js";

const BACK_MS = 6000;
let wasLost = false;

function tell(key, isGood = false) {
  const line = el("connection");
  line.hidden = key === "";
  line.classList.toggle("back", isGood);
  say(line, key && t(key));
}

/** Say what has become of the connection; what the page shows is old, and grey. */
function lose(key) {
  wasLost = true;
  tell(key);
  el("main").classList.add("stale");
}
live.addEventListener("lost", () => lose("live.lost"));
live.addEventListener("denied", () => lose("live.denied"));
live.addEventListener("state", ({ detail: { room } }) => {
  if (room) say(document.querySelector(".room"), room);
  if (!wasLost) return;
  wasLost = false;
  el("main").classList.remove("stale");
  tell("live.back", true);
  setTimeout(() => wasLost || tell(""), BACK_MS);
});

live.start();
