// The record light: what has reached the disk, never an intention.

const STALLED_MS = 3000;

export const records = ({ state }) => state === "live" || state === "degraded";

export class Light {
  #id = null;
  #bytes = -1;
  #grewMs = 0;

  /** Return the word for `session` now: "recording", "stalled" and so on. */
  word(session, nowMs = performance.now()) {
    const status = session?.status;
    if (!session) return "idle";
    if (!status) return "unknown";
    if (session.id !== this.#id || status.bytes !== this.#bytes) {
      [this.#id, this.#bytes, this.#grewMs] = [session.id, status.bytes, nowMs];
    }
    if (status.state === "idle") return "opening";
    if (!records(status)) return status.state === "armed" ? "armed" : "sealing";
    if (nowMs - this.#grewMs > STALLED_MS) return "stalled";
    return status.state === "degraded" ? "degraded" : "recording";
  }

  /** Nothing was heard of the daemon meanwhile: count anew from here. */
  forget() {
    this.#bytes = -1;
  }
}
