// The WebSocket: it tells "state", "levels" and "picture", connects again by itself, and says so.

const QUIET_MS = 4000; // the state comes every second; whoever is silent for longer is gone
const LONGEST_MS = 5000;
const ANSWER_MS = 2000; // one that hangs, or that no packet reaches, does not answer either

export class Live extends EventTarget {
  #socket = null;
  #watch = null;
  #heardMs = 0;
  #pauseMs = 250;

  start() {
    this.#connect();
    setInterval(() => this.#lookAtClock(), 1000);
    addEventListener("online", () => this.#socket ?? this.#connect());
  }

  /** Say what is wanted besides the state; it is asked for again after each connection. */
  watch(wish) {
    this.#watch = wish;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(wish));
  }

  #connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heardMs = performance.now();
    socket.addEventListener("open", () => {
      this.#pauseMs = 250;
      if (this.#watch) socket.send(JSON.stringify(this.#watch));
    });
    socket.addEventListener("message", (event) => this.#take(socket, event.data));
    socket.addEventListener("close", () => this.#lose(socket));
  }

  #take(socket, data) {
    if (socket !== this.#socket) return;
    this.#heardMs = performance.now();
    if (typeof data === "string") {
      const message = JSON.parse(data);
      this.#tell(message.type, message);
    } else {
      this.#tell("picture", { index: new Uint8Array(data, 0, 1)[0], jpeg: new Blob([new Uint8Array(data, 1)], { type: "image/jpeg" }) });
    }
  }

  #lookAtClock() {
    if (this.#socket && performance.now() - this.#heardMs > QUIET_MS) {
      const silent = this.#socket;
      this.#lose(silent);
      silent.close();
    }
  }

  async #lose(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    const status = await fetch("/api/v1/state", { signal: AbortSignal.timeout(ANSWER_MS) }).then((answer) => answer.status, () => 0);
    this.#tell(status === 401 || status === 403 ? "denied" : "lost", {});
    setTimeout(() => this.#socket ?? this.#connect(), this.#pauseMs);
    this.#pauseMs = Math.min(LONGEST_MS, this.#pauseMs * 2);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const live = new Live();
