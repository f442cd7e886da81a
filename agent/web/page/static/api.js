// The REST side: one function, and what is said where something is refused.

import { el, forIt, make, message, press } from "./dom.js";
import { inWords, t } from "./texts.js";

export class Refused extends Error {
  /** `answer`: the problem document; its `message` and `hint` are for IT. Without one, Liput is out of reach. */
  constructor(answer, status = 0) {
    super(answer?.text ? inWords(answer.text) : t("error.unreachable"));
    const { code = "", message, hint } = answer ?? {};
    Object.assign(this, { status, code, detail: [message, hint].filter(Boolean).join(". ") });
  }
}

/** Ask the daemon; return what it answers, raise Refused. */
export async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused();
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(answer, response.status);
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
    complain(error, ...(error.code === "speakers" ? [press(t("consent.although"), () => doing(button, although))] : []));
    return null;
  } finally {
    button.disabled = Boolean(button.isHeld);
  }
}

/** Say what was refused, with further buttons; what IT may want to know unfolds. A mistake of the page goes on to the console. */
export function complain(error, ...buttons) {
  if (!(error instanceof Refused)) throw error;
  const box = message("", make("p", error.message), forIt(error.detail));
  box.role = "alert";
  box.append(...buttons, press(t("error.close"), () => box.remove()));
  el("errors").replaceChildren(box);
}
