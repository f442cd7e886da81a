// The REST side: one function, and what is said where something is refused.

import { el, make, message, press } from "./dom.js";
import { t } from "./texts.js";

export class Refused extends Error {
  /** `isOfConsent`: the speakers refuse to be shown. */
  constructor(status, message, { hint = "", is_of_consent: isOfConsent = false } = {}) {
    super(message);
    Object.assign(this, { status, hint, isOfConsent });
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
    throw new Refused(response.status, answer?.message ?? t("error.unreachable"), answer ?? {});
  }
  return answer;
}

/** A word of its own for each press, so that a request that is sent twice does one thing. */
export const once = () => ({ "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });

/** Let a button rest while `isHeld`, as live messages say, which may be newer than the reply to its press. */
export function hold(button, isHeld) {
  button.disabled = button.isHeld = isHeld;
}

/** Do something that a button asked for: the button rests meanwhile, and what is refused is said.

    Where the speakers refuse to be shown, a button does `although` instead. */
export async function doing(button, action, although) {
  button.disabled = true;
  el("errors").replaceChildren();
  try {
    return await action();
  } catch (error) {
    complain(error, ...(error.isOfConsent ? [press(t("consent.although"), () => doing(button, although))] : []));
    return null;
  } finally {
    button.disabled = Boolean(button.isHeld);
  }
}

/** Say what was refused, with further buttons; what is a mistake of the page goes on to the console. */
export function complain(error, ...buttons) {
  if (!(error instanceof Refused)) throw error;
  const lines = error.isOfConsent ? [t("consent.refused")] : [`${t("error.title")}: ${error.message}`, error.hint];
  const box = message("", ...lines.map((line) => make("p", line)));
  box.role = "alert";
  box.append(...buttons, press(t("error.close"), () => box.remove()));
  el("errors").replaceChildren(box);
}
