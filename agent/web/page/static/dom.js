// Small helpers for elements. Text is always set as text, never as HTML.

import { t } from "./texts.js";

export const el = (id) => document.getElementById(id);

/** Make an element, "tag class class", of its children and texts; a plain object has properties, and attributes (role, those with a dash). */
export function make(what, ...parts) {
  const [tag, ...classes] = what.split(" ");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const part of parts) {
    if (part?.constructor !== Object) element.append(part ?? "");
    else for (const [name, value] of Object.entries(part)) {
      if ((value ?? false) === false) continue;
      if (name === "role" || name.includes("-")) element.setAttribute(name, value);
      else element[name] = value;
    }
  }
  return element;
}

/** Make a button that does `action` when it is pressed. */
export function press(text, action, properties = {}) {
  const button = make("button compact", { type: "button", ...properties }, text);
  button.addEventListener("click", () => action(button));
  return button;
}

/** Make a row of a list of facts, where there is a value. */
export const fact = (key, value) => value && make("div", make("dt", t(key)), make("dd", value));

/** Make a message with its sign; `kind` is "ok", "bad", "note" or "". */
export const message = (kind, ...lines) => make(`div alarm ${kind}`, make("span sign", { "aria-hidden": "true" }), make("div", ...lines));

/** Make what unfolds for IT, in English; null where there is nothing. */
export const forIt = (...lines) => (lines.some(Boolean)
  ? make("details small", make("summary", t("error.detail")), ...lines.map((line) => make("p", { lang: "en" }, line))) : null);

/** Do `action` with what presses a form's button. */
export const onSubmit = (form, action) => form.addEventListener("submit", (event) => {
  event.preventDefault();
  action(event.submitter);
});

/** Ask in a dialog whether to do `action`. */
export function sure(dialog, text, action) {
  say(dialog.querySelector("p"), text);
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue && action();
  dialog.showModal();
}

/** Set a text only where it differs, so that nothing is read aloud twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keep one child of `parent` for each item, in their order; those whose key stays are updated in place. */
export function keep(parent, items, keyOf, create, update = () => {}) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = before.get(key);
    before.delete(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const gone of before.values()) gone.remove();
}
