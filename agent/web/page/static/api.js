// The REST side: one function, and what is said where something is refused.

import { el, make, message, press } from "./dom.js";
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

/** A word of its own for each press, so that a request that is sent twice does one thing. */
export const once = () => ({ "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });

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
  const box = message("", make("p", `${t("error.title")}: ${error.message}`), make("p", error.hint));
  box.role = "alert";
  box.append(...buttons, press(t("error.close"), () => box.remove()));
  el("errors").replaceChildren(box);
}
