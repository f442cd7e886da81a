// How a session ended that is gone from the list: whether the archive has it.

import { ask } from "./api.js";
import { el, make, message } from "./dom.js";
import { records } from "./light.js";
import { t } from "./texts.js";

const PATIENCE_MS = 20_000; // for a recorder that goes on, or a package that is being recovered
const AGAIN_MS = 5_000; // a long recording takes longer to be recovered, and then the archive has it after all
const seen = new Map(); // by recorder: sessions that recorded
let running = [];
let beside = new Set(); // the sessions that ran when it was last said how one ended

/** The package that a work folder becomes part of: several of them, where it was gone on with or changed its disk. */
const packageOf = (work) => work.split("/").pop().replace(/\.\d+$/, "");

/** Say of each session that is gone how it ended, once that is known. */
export function showEnds({ sessions, troubles }) {
  if (sessions.some((one) => records(one) && !beside.has(one.id))) forget();
  running = sessions.map(({ id }) => id);
  const isAwaited = troubles.some(({ kind }) => kind === "recorder-killed"); // which has words of its own
  const going = new Set(sessions.map(({ work }) => work && packageOf(work)));
  for (const [id, one] of seen) {
    if (sessions.some((session) => session.id === id)) continue;
    if (going.has(one.name)) seen.delete(id); // its recorder was killed, and another one goes on
    else if (!one.isAsked && !(performance.now() < one.againMs)) notice(id, one, isAwaited);
  }
  for (const { id, title, work, state } of sessions) {
    if (work && state !== "armed") seen.set(id, { title, name: packageOf(work), goneMs: null, isAsked: false });
  }
}

/** Say no more of what was before: another session has begun to record since. */
function forget() {
  el("ended").replaceChildren();
  beside = new Set();
  for (const [id, one] of seen) if (one.againMs) seen.delete(id);
}

async function notice(id, one, isAwaited) {
  one.isAsked = true;
  one.goneMs ??= performance.now();
  const end = await ask("GET", `/sessions/${id}`).catch((error) => error);
  const found = await ask("GET", `/archive/${encodeURIComponent(one.name)}`).catch((error) => error);
  one.isAsked = false;
  const isAnswered = end.state || [404, 409].includes(end.status); // 409: that it has failed
  if (!seen.has(id) || !isAnswered || found.status === 0) return; // it is asked again
  const isThere = found.state === "sealed";
  const isOpen = end.status === 404 && (isAwaited || performance.now() - one.goneMs < PATIENCE_MS);
  if (!isThere && isOpen) return;
  const isKnown = isThere || end.status !== 404;
  const isSaid = Boolean(one.againMs);
  if (isKnown) seen.delete(id);
  else one.againMs = performance.now() + AGAIN_MS;
  if (isSaid && !isKnown) return; // as was said
  if (!isThere && end.state === "idle") return; // nothing was recorded
  beside = new Set(running);
  const isSealed = isThere || end.state === "sealed"; // it may be in an archive that is not shown here
  el("ended").replaceChildren(message(isSealed ? "ok" : "bad",
    make("p", t(isSealed ? "sealed.done" : "sealed.failed", { title: one.title })),
    isThere ? make("p", make("a", { href: `/archive/${encodeURIComponent(one.name)}` }, t("sealed.open"))) : null));
}
