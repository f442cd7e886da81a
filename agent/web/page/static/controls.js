// A camera's controls on its card: tried while a slider moves, kept when it is let go.

import { ask } from "./api.js";
import { keep, make, press, say } from "./dom.js";
import { has, number, t } from "./texts.js";

const PAUSE_MS = 120; // a slider gives sixty values a second
const KINDS = ["integer", "boolean", "menu", "integer-menu"];

function nameOf({ name, title }) {
  const key = `control.name.${name.replaceAll("_", "-")}`;
  return has(key) ? t(key) : title;
}

function inputOf({ kind, entries, min, max, step }) {
  if (kind === "boolean") return make("input", { type: "checkbox" });
  if (kind === "integer") return make("input", { type: "range", min, max, step });
  return make("select", ...Object.entries(entries).map(([value, text]) => new Option(text, value)));
}

/** Return what opens on the card of a camera; `seen` is called when it opens or closes. */
export function controlsOf(device, seen) {
  const path = `/devices/${encodeURIComponent(device.id)}/controls`;
  const waiting = new Map(); // what is to be asked, of each control the newest
  const rows = make("ul rows");
  const problem = make("p problem", { role: "alert" });
  const box = make("details", { name: "controls", "aria-live": "off" }, make("summary", t("control.heading")),
    make("div picture", { hidden: true }, make("canvas", { role: "img", "aria-label": device.name })),
    make("p small", t("control.picture")), rows, problem);
  let isBusy = false;

  async function want(about, ...asked) {
    waiting.set(about, asked);
    if (isBusy) return;
    isBusy = true;
    for (const [name, [method, rest, body]] of waiting) { // and what comes meanwhile
      waiting.delete(name);
      try {
        const said = await ask(method, path + rest, body);
        if (method !== "GET") say(problem, said.changes.some((change) => change.problem) ? t("control.refused") : "");
        show(said.controls);
      } catch (error) {
        say(problem, error.message);
        if (method !== "GET") waiting.set("", ["GET", ""]); // the slider goes back to where the camera is
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    isBusy = false;
  }

  function create(control) {
    const { name, entries } = control;
    const input = inputOf(control);
    const shown = make("span number");
    const back = press(t("control.default"), () => want(name, "DELETE", `/${name}`), { "aria-label": t("control.default.of", { name: nameOf(control) }) });
    const set = (isKept) => {
      const value = input.type === "checkbox" ? String(input.checked) : entries[input.value] ?? input.value;
      want(name, "PATCH", "", { values: { [name]: value }, keep: isKept });
    };
    input.addEventListener("input", () => {
      if (input.type !== "range") return;
      say(shown, number(input.value));
      set(false);
    });
    input.addEventListener("change", () => set(true));
    return make("li control", make("label", make("span", nameOf(control)), input), shown, back, make("p small muted"));
  }

  function show(controls) {
    const usable = controls.filter(({ kind, read_only: isFixed, value }) => KINDS.includes(kind) && !isFixed && value !== null);
    keep(rows, usable, ({ name }) => name, create, (row, { name, value, inactive, governor }) => {
      const [input, shown, back, note] = ["input, select", ".number", "button", "p"].map((place) => row.querySelector(place));
      input.disabled = back.disabled = inactive;
      const by = controls.find((control) => control.name === governor);
      say(note, inactive ? t("control.automatic", { name: by ? nameOf(by) : device.name }) : "");
      if (waiting.has(name)) return; // it moves
      input.checked = input.value = value;
      if (input.type === "range") say(shown, number(value));
    });
  }

  box.addEventListener("toggle", () => {
    say(problem, "");
    if (box.open) want("", "GET", "");
    seen();
  });
  return box;
}
