/** Milliseconds for which an answer about the file system is taken as current. */
const fresh = 1000;
const maxKept = 256;

/**
 * Caches answers about paths for a second: a caller that starts many containers of one root need
 * not wait for the file system each time.
 */
export class TtlCache<Answer> {
  readonly #ask: (path: string) => Promise<Answer>;
  readonly #known = new Map<string, { answer: Answer; at: number }>();
  /** Pending lookups: concurrent callers share one for the same path. */
  readonly #asked = new Map<string, Promise<Answer>>();

  constructor(ask: (path: string) => Promise<Answer>) {
    this.#ask = ask;
  }

  /** Returns the answer itself if it is cached, else a promise. */
  ask(path: string): Answer | Promise<Answer> {
    const known = this.#known.get(path);
    if (known !== undefined && performance.now() - known.at < fresh) return known.answer;
    let asked = this.#asked.get(path);
    if (asked === undefined) {
      asked = this.#answer(path);
      this.#asked.set(path, asked);
    }
    return asked;
  }

  async #answer(path: string): Promise<Answer> {
    try {
      const answer = await this.#ask(path);
      if (this.#known.size >= maxKept) this.#known.clear();
      this.#known.set(path, { answer, at: performance.now() });
      return answer;
    } finally {
      this.#asked.delete(path);
    }
  }

  forget(path: string): void {
    this.#known.delete(path);
  }
}
