// What every page has: the connection and what is said of it.

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

live.addEventListener("lost", () => {
  wasLost = true;
  tell("live.lost");
});
live.addEventListener("denied", () => {
  wasLost = true;
  tell("live.denied");
});
live.addEventListener("state", () => {
  if (!wasLost) return;
  wasLost = false;
  tell("live.back", true);
  setTimeout(() => wasLost || tell(""), BACK_MS);
});

live.start();
