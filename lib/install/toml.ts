/**
 * Locates tables and keys in a TOML text, so that additions keep everything else, including
 * comments. Reads what https://toml.io/en/v1.0.0 allows; numbers, dates and booleans remain text.
 */

/** A value. */
export type TomlValue = string | readonly TomlValue[] | TomlInline | TomlOther;

/** A value other than a string, an array or a table: a number, a date, a boolean. */
export interface TomlOther {
  readonly raw: string;
}

/** An inline table. It is closed: nothing can be added to it from outside. */
export interface TomlInline {
  readonly inline: readonly TomlKey[];
}

/** A key with its value. */
export interface TomlKey {
  /** Path from the root of the document. */
  readonly path: readonly string[];
  readonly value: TomlValue;
  /** Line number, from 1. */
  readonly line: number;
}

/** A header and what follows it. */
export interface TomlTable {
  readonly path: readonly string[];
  /** Offset of the header. */
  readonly start: number;
  /** Offset after the line of its last key, or of its header. */
  end: number;
  readonly line: number;
}

/** The text is not valid TOML. */
export class TomlError extends Error {
  override name = 'TomlError';
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(`line ${line}: ${message}`);
  }
}

/** Whether `path` begins with `prefix`. */
export function isBelow(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((part, index) => path[index] === part);
}

const escapes: Record<string, string> = {
  ...{ b: '\b', t: '\t', n: '\n', f: '\f', r: '\r', '"': '"', '\\': '\\' },
};

/** Returns the text of a basic string that is given without its quotes. */
function unescape(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[ \t]*\n\s*|([^\n]))/g,
    (whole, short: string | undefined, long: string | undefined, one: string | undefined) => {
      const code = short ?? long;
      if (code !== undefined) return String.fromCodePoint(parseInt(code, 16));
      return one === undefined ? '' : (escapes[one] ?? whole);
    },
  );
}

/** A parsed document. */
export class TomlDocument {
  readonly tables: TomlTable[] = [];
  readonly keys: TomlKey[] = [];
  #at = 0;

  /** Throws TomlError. */
  constructor(readonly text: string) {
    let table: TomlTable | undefined;
    for (;;) {
      this.#skip(/[\s]*(?:#[^\n]*\n?\s*)*/y);
      if (this.#at >= text.length) break;
      if (text[this.#at] === '[') {
        table = this.#table();
        this.tables.push(table);
      } else {
        this.keys.push(this.#keyValue(table?.path ?? []));
        this.#endOfLine();
        if (table !== undefined) table.end = this.#at;
      }
    }
  }

  /** Returns the key of that path; undefined if there is none. */
  find(path: readonly string[]): TomlKey | undefined {
    return this.keys.find((key) => key.path.length === path.length && isBelow(key.path, path));
  }

  /** Returns the keys of that table and of those below it, wherever they are in the text. */
  below(path: readonly string[]): TomlKey[] {
    return this.keys.filter((key) => key.path.length > path.length && isBelow(key.path, path));
  }

  /** Returns the text without the tables of that path and below it. */
  without(path: readonly string[]): string {
    let text = this.text;
    for (const table of this.tables.filter((one) => isBelow(one.path, path)).reverse()) {
      text = text.slice(0, table.start) + text.slice(table.end);
    }
    return text;
  }

  #line(): number {
    return this.text.slice(0, this.#at).split('\n').length;
  }

  #fail(message: string): never {
    throw new TomlError(this.#line(), message);
  }

  /**
   * Matches a sticky expression at the current offset and moves past it. Returns undefined, and
   * does not move, if it does not match.
   */
  #take(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.#at;
    const match = expression.exec(this.text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match;
  }

  #skip(expression: RegExp): void {
    this.#take(expression);
  }

  #endOfLine(): void {
    if (this.#take(/[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y) === undefined) {
      this.#fail('expected the end of the line');
    }
  }

  #table(): TomlTable {
    const start = this.#at;
    const line = this.#line();
    const open = this.#take(/\[\[?[ \t]*/y)?.[0].trim() ?? '';
    const path = this.#key();
    if (this.#take(open === '[[' ? /[ \t]*\]\]/y : /[ \t]*\]/y) === undefined) {
      this.#fail(`expected the end of the header ${open}${path.join('.')}`);
    }
    this.#endOfLine();
    return { path, start, end: this.#at, line };
  }

  #key(): string[] {
    const path: string[] = [];
    do {
      const bare = this.#take(/[ \t]*([A-Za-z0-9_-]+)[ \t]*/y);
      const basic = bare ?? this.#take(/[ \t]*"((?:[^"\\\n]|\\.)*)"[ \t]*/y);
      const literal = basic ?? this.#take(/[ \t]*'([^'\n]*)'[ \t]*/y);
      if (literal === undefined) this.#fail('expected a key');
      const text = literal[1] ?? '';
      path.push(basic !== undefined && bare === undefined ? unescape(text) : text);
    } while (this.#take(/\./y) !== undefined);
    return path;
  }

  #keyValue(table: readonly string[]): TomlKey {
    const line = this.#line();
    const path = [...table, ...this.#key()];
    if (this.#take(/=[ \t]*/y) === undefined) this.#fail(`expected = and a value`);
    return { path, value: this.#value(path), line };
  }

  #value(path: readonly string[]): TomlValue {
    const string = this.#string();
    if (string !== undefined) return string;
    if (this.#take(/\[/y) !== undefined) return this.#array(path);
    if (this.#take(/\{/y) !== undefined) return this.#inline(path);
    const other = this.#take(/[^\s,\]}#"'[{=]+(?: \d\d:[^\s,\]}#]+)?/y);
    if (other === undefined) this.#fail('expected a value');
    return { raw: other[0] };
  }

  #string(): string | undefined {
    const long = this.#take(/"""(?:\r?\n)?((?:[^\\]|\\[^])*?"{0,2})"""(?!")/y);
    if (long !== undefined) return unescape(long[1]!);
    const longLiteral = this.#take(/'''(?:\r?\n)?([^]*?'{0,2})'''(?!')/y);
    if (longLiteral !== undefined) return longLiteral[1];
    const basic = this.#take(/"((?:[^"\\\n]|\\.)*)"/y);
    if (basic !== undefined) return unescape(basic[1]!);
    return this.#take(/'([^'\n]*)'/y)?.[1];
  }

  #array(path: readonly string[]): TomlValue[] {
    const space = /(?:\s|#[^\n]*\n)*/y;
    const items: TomlValue[] = [];
    for (;;) {
      this.#skip(space);
      if (this.#take(/\]/y) !== undefined) return items;
      items.push(this.#value(path));
      this.#skip(space);
      if (this.#take(/,/y) !== undefined) continue;
      if (this.#take(/\]/y) === undefined) this.#fail('expected , or ] in an array');
      return items;
    }
  }

  #inline(path: readonly string[]): TomlInline {
    const inline: TomlKey[] = [];
    for (;;) {
      if (this.#take(/[ \t]*\}/y) !== undefined) return { inline };
      inline.push(this.#keyValue(path));
      if (this.#take(/[ \t]*,/y) !== undefined) continue;
      if (this.#take(/[ \t]*\}/y) === undefined) this.#fail('expected , or } in a table');
      return { inline };
    }
  }
}

/** Formats a string as TOML. */
export function tomlString(text: string): string {
  // TOML has all of JSON's escapes; only DEL must also be escaped.
  return JSON.stringify(text).replaceAll('\x7f', '\\u007f');
}
