// What a check or a rehearsal found, a row each: verdict, reason, what to do.

import { forIt, make } from "./dom.js";
import { inWords, t } from "./texts.js";
import { checkName } from "./words.js";

const BADGES = { ok: "ok", unchecked: "", warning: "warn", failure: "bad" };
const GRAVITY = ["failure", "warning", "unchecked", "ok"];

/** The worst comes first. */
export const byGravity = (checks) => [...checks].sort((one, other) => GRAVITY.indexOf(one.verdict) - GRAVITY.indexOf(other.verdict));

/** How the whole is: the class of its box, and the key of its sentence. */
export function verdictOf({ ready, checks }) {
  if (!ready) return ["bad", "check.not-ready"];
  return checks.some(({ verdict }) => verdict === "warning") ? ["", "check.warned"] : ["ok", "check.ready"];
}

/** Make a row; `advice` takes the place of what is said to be done. What IT may want to know unfolds. */
export function rowOf(found, advice = inWords(found).advice) {
  const { reason, for_it: detail } = inWords(found);
  return make("li", {},
    make("div", { className: "spread" }, make("span", { className: "name", textContent: checkName(found.name) }),
      make("span", { className: `badge ${BADGES[found.verdict]}`, textContent: t(`verdict.${found.verdict}`) })),
    reason && make("p", { textContent: reason }), advice && (advice.nodeType ? advice : make("p", { textContent: advice })),
    forIt(detail));
}
