// What every page has: the connection and what is said of it, the light in the title, the appearance.

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

const theme = el("theme");
theme.addEventListener("change", () => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  document.cookie = `liput_theme=${theme.value}; Path=/; Max-Age=31536000; SameSite=Strict`;
});
live.start();
