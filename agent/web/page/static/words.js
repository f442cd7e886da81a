// What an operator calls things: sources by role, troubles by what is to be done.

import { has, t } from "./texts.js";

const OF_A_SOURCE = /^(source-|sound-|picture-|isolated-|frames-)/;
const OF_THE_RECORDING = /^(recording-|storage-|session-failed|start-failed|sealing-failed|disk-critical|part)/;

/** Name a source as people do: "Kamera podium". */
export function subjectText(name, session) {
  if (has(`role.${name}`)) return t(`role.${name}`);
  if (name.startsWith("synthetic")) return t("subject.synthetic");
  const isSound = session?.status?.sounds.some((sound) => sound.name === name);
  return t(isSound ? "subject.sound" : "subject.picture", { name });
}

/** Say what has happened and what is to be done; `fallback` where there are no words for this kind. */
export function troubleText(kind, subject, session, fallback = "") {
  if (!has(`event.${kind}`)) return fallback || `${kind}: ${subject}`;
  let name = subject;
  if (OF_A_SOURCE.test(kind)) name = subjectText(subject, session);
  if (kind.startsWith("conference-")) name = t(subject === "camera" ? "conference.camera" : "conference.microphone");
  return t(`event.${kind}`, { subject: name });
}

/** Whether the recording itself is in danger; everything else is less urgent. */
export const isGrave = (kind) => OF_THE_RECORDING.test(kind);

/** Say what is wrong with a device by its fault. */
export function faultText(fault, subject, reason) {
  const kind = { lost: "source-lost", "no-data": "source-silent" }[fault] ?? `source-${fault}`;
  return fault ? troubleText(kind, subject, null, reason) : reason;
}

/** Name what a check looked at: "picture: podium" as people call it. */
export function checkName(name) {
  const [check, ...rest] = name.split(": ");
  const what = rest.join(": ");
  const label = has(`check.name.${check}`) ? t(`check.name.${check}`) : check;
  const part = [`role.${what}`, `check.part.${what}`].find(has);
  return what ? `${label}: ${part ? t(part) : what}` : label;
}
