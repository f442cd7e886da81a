// The REST side: one function, and what is said where something is refused.

import { el, make } from "./dom.js";
import { t } from "./texts.js";

export class Refused extends Error {
  /** `isOfDevice`: a session could begin without that device. */
  constructor(status, message, hint = "", isOfDevice = false) {
    super(message);
    Object.assign(this, { status, hint, isOfDevice });
  }
}

/** Ask the daemon; return what it answers, raise Refused with its words. */
export async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, t("error.unreachable"));
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    throw new Refused(response.status, answer?.message ?? t("error.unreachable"), answer?.hint, answer?.is_of_device);
  }
  return answer;
}

/** Do something that a button asked for: the button rests meanwhile, and what is refused is said. */
export async function doing(button, action) {
  button.disabled = true;
  el("errors").replaceChildren();
  try {
    return await action();
  } catch (error) {
    complain(error);
    return null;
  } finally {
    button.disabled = false;
  }
}

/** Say what was refused, with further buttons; what is a mistake of the page goes on to the console. */
export function complain(error, ...buttons) {
  if (!(error instanceof Refused)) throw error;
  const close = make("button", { type: "button", className: "compact", textContent: t("error.close") });
  const words = [`${t("error.title")}: ${error.message}`, error.hint].filter(Boolean);
  const box = make("div", { className: "alarm", role: "alert" }, make("span", { className: "sign", "aria-hidden": "true" }),
    make("div", {}, ...words.map((text) => make("p", { textContent: text }))), ...buttons, close);
  close.addEventListener("click", () => box.remove());
  el("errors").replaceChildren(box);
}
