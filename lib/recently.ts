/** Milliseconds for which what was seen of the file system is taken to be so still. */
const fresh = 1000;
const most = 256;

/**
 * Remembers answers about paths for a second: who starts many containers of one root need not wait
 * for the file system each time.
 */
export class Recently<Answer> {
  readonly #ask: (path: string) => Promise<Answer>;
  readonly #known = new Map<string, { answer: Answer; at: number }>();
  /** Those that are on their way: the same is not asked twice at a time. */
  readonly #asked = new Map<string, Promise<Answer>>();

  constructor(ask: (path: string) => Promise<Answer>) {
    this.#ask = ask;
  }

  /** The answer at once where it is known. */
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
      if (this.#known.size >= most) this.#known.clear();
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
