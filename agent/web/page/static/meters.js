// Level meters: peaks ten times a second, the highest of them held for a moment.

import { keep, make, say } from "./dom.js";
import { number, t } from "./texts.js";

const LOWEST = -60;
const HOLD_MS = 1500;
const FALL_PER_S = 20;

const part = (dbfs) => Math.min(1, Math.max(0, (dbfs - LOWEST) / -LOWEST));

class Meter {
  #held = LOWEST;
  #heldMs = 0;
  #toldMs = -Infinity;

  constructor() {
    this.rest = make("div", { className: "rest" });
    this.hold = make("div", { className: "hold" });
    this.element = make("div", { className: "meter", role: "meter", "aria-valuemin": LOWEST, "aria-valuemax": 0,
      "aria-valuenow": LOWEST }, this.rest, this.hold);
    this.element.meter = this;
  }

  show(dbfs, nowMs) {
    if (dbfs >= this.#held) {
      [this.#held, this.#heldMs] = [dbfs, nowMs];
    } else if (nowMs - this.#heldMs > HOLD_MS) {
      this.#held = Math.max(dbfs, this.#held - FALL_PER_S / 10);
    }
    this.rest.style.transform = `scaleX(${1 - part(dbfs)})`;
    this.hold.style.transform = `translateX(${100 * part(this.#held)}%)`;
    if (nowMs - this.#toldMs < 1000) return;
    this.#toldMs = nowMs;
    this.element.setAttribute("aria-valuenow", Math.round(Math.max(LOWEST, Math.min(0, dbfs))));
    this.element.setAttribute("aria-valuetext", t("unit.dbfs", { value: number(dbfs, 1) }));
  }
}

function channelName(name, channel, channels) {
  if (channels === 1) return name;
  if (channels === 2) return t("meters.side", { name, side: t(channel ? "meters.right" : "meters.left") });
  return t("meters.channel", { name, number: channel + 1 });
}

/** Show the levels of one input, or of the program: a bar for each channel in `bars`, the loudest in `text`. */
export function showLevels(bars, text, name, levels, nowMs = performance.now()) {
  keep(bars, levels.map((_, channel) => channel), (channel) => `${channel} ${levels.length}`,
    (channel) => {
      const meter = new Meter();
      meter.element.setAttribute("aria-label", channelName(name, channel, levels.length));
      return meter.element;
    },
    (element, channel) => element.meter.show(levels[channel], nowMs));
  if (levels.length) say(text, t("unit.dbfs", { value: number(Math.max(...levels), 1) }));
}
