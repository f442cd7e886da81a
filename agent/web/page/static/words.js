// What an operator calls things: sources by role, what a check looked at.

import { has, t } from "./texts.js";

/** Name a source as people do: "Kamera podium". */
export function subjectText(name, session) {
  if (has(`role.${name}`)) return t(`role.${name}`);
  if (name.startsWith("synthetic")) return t("subject.synthetic");
  const isSound = session?.status?.sounds.some((sound) => sound.name === name);
  return t(isSound ? "subject.sound" : "subject.picture", { name });
}

/** Name what a check looked at: "picture: podium" as people call it. */
export function checkName(name) {
  const [check, ...rest] = name.split(": ");
  const what = rest.join(": ");
  const label = has(`check.name.${check}`) ? t(`check.name.${check}`) : check;
  const part = [`role.${what}`, `check.part.${what}`].find(has);
  return what ? `${label}: ${part ? t(part) : what}` : label;
}
