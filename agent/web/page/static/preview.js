// Pictures of the program and of each source, as they come; none while nobody sees the page.

import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { t } from "./texts.js";
import { subjectText } from "./words.js";

let wanted = [];
let asked = "";
const MOST = 15; // beside the program

async function draw(canvas, jpeg) {
  const picture = await createImageBitmap(jpeg).catch(() => null);
  if (!picture) return;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  canvas.nextElementSibling?.remove(); // the words that stood for the picture
}

live.addEventListener("picture", ({ detail }) => {
  const canvas = wanted[detail.index]?.canvas();
  if (canvas) draw(canvas, detail.jpeg);
});

/** Show the pictures of `session`, or none. */
export function showPictures(session) {
  const names = session?.status ? sourceNames(session.status) : [];
  el("sources-box").hidden = names.length < 2;
  const shown = names.length < 2 ? [] : names;
  keep(el("sources"), shown, (name) => `${session.id} ${name}`, (name) => {
    const label = subjectText(name, session);
    return make("figure", {},
      make("div", { className: "picture" }, make("canvas", { role: "img", "aria-label": t("session.source", { name: label }) })),
      make("figcaption", { textContent: label }));
  });
  watch(session, !session?.status ? [] : [
    { source: "program", fps: 5, width: 640, canvas: () => el("program") },
    ...shown.slice(0, MOST).map((name, place) => ({
      source: name, fps: 1, width: 240, canvas: () => el("sources").children[place]?.querySelector("canvas"),
    })),
  ]);
  if (!session) forget("session.preview.none");
  else if (!session.status) forget("session.preview.wait");
}

/** Ask for pictures of `session`: each has a `source`, `fps`, `width`, and a `canvas()` that it is drawn on. */
export function watch(session, pictures, levels = true) {
  wanted = document.hidden ? [] : pictures;
  const wish = { type: "watch", session: session?.id ?? null, levels: levels && !document.hidden && Boolean(session),
    previews: wanted.map(({ source, fps, width }) => ({ source, fps, width })) };
  const text = JSON.stringify(wish);
  if (text === asked) return;
  asked = text;
  live.watch(wish);
}

function sourceNames(status) {
  return status.sources.filter((source) => !status.sounds.some((sound) => sound.name === (source.role ?? source.name)))
    .map((source) => source.role ?? source.name);
}

function forget(key) {
  const canvas = el("program");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  if (!canvas.nextElementSibling) canvas.after(make("p", {}));
  say(canvas.nextElementSibling, t(key));
}
