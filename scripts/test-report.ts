/** What the test files report: a line for each file, details of failures, reasons of skips. */
import { Parser, type FinalResults, type Result } from 'tap-parser';
import { stringify } from 'yaml';

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function nameOf(result: Result): string {
  return result.fullname || result.name;
}

/** Prints comments of all levels, except those of tap itself. */
function printComments(parser: Parser): void {
  parser.on('comment', (comment: string) => {
    const text = comment.replace(/^ *#? ?/, '').trimEnd();
    if (/^(?:Subtest: |time=|timeout=|test count\(|failed |skip: |todo: |\{ total: )/.test(text)) {
      return;
    }
    print(`# ${text}`);
  });
  parser.on('child', printComments);
}

export class Report {
  readonly counts = { pass: 0, fail: 0, skip: 0 };
  readonly #skipped: string[] = [];
  readonly #failed: string[] = [];

  /** `comments`: whether to print the figures that tests report. */
  constructor(readonly comments: boolean) {}

  /** Returns the report of one file; `onTimeout` hears the timeout that the file asks for. */
  file(name: string, onTimeout: (milliseconds: number) => void = () => {}): FileReport {
    return new FileReport(this, name, onTimeout);
  }

  skip(name: string, reason: string): void {
    this.counts.skip++;
    this.#skipped.push(`${name}: ${reason}`);
  }

  fail(name: string): void {
    this.counts.fail++;
    this.#failed.push(name);
  }

  /** Prints the summary. */
  end(): void {
    const { pass, fail, skip } = this.counts;
    if (fail > 0) print(`\nFailed:\n${this.#failed.map((name) => `  ${name}`).join('\n')}`);
    if (skip > 0) {
      print('\nSKIPPED, so this run says nothing about:');
      for (const line of this.#skipped) print(`  ${line}`);
    }
    print(`\n${pass} passed, ${fail} failed, ${skip} skipped`);
  }
}

/** Counts and prints the assertions of one file, which arrive at `parser`. */
export class FileReport {
  readonly parser = new Parser();
  readonly #own = { pass: 0, fail: 0, skip: 0 };
  readonly #began = performance.now();

  constructor(
    readonly report: Report,
    readonly name: string,
    onTimeout: (milliseconds: number) => void,
  ) {
    const { parser } = this;
    parser.on('pass', () => {
      report.counts.pass++;
      this.#own.pass++;
    });
    parser.on('skip', (result: Result) => {
      this.#own.skip++;
      const reason = typeof result.skip === 'string' ? result.skip : 'no reason given';
      report.skip(`${name} > ${nameOf(result)}`, reason);
    });
    // A todo counts as a failure: its work is not done.
    for (const event of ['fail', 'todo']) {
      parser.on(event, (result: Result) => {
        this.#fail(`${name} > ${nameOf(result)}`);
        if (result.diag) print(stringify(result.diag).replace(/^/gm, '    ').trimEnd());
      });
    }
    parser.on('bailout', (reason: string) => this.#fail(`${name}: bail out: ${reason}`));
    parser.on('comment', (comment: string) => {
      const timeout = /^# timeout=(\d+)/.exec(comment)?.[1];
      if (timeout !== undefined) onTimeout(Number(timeout));
    });
    if (report.comments) printComments(parser);
  }

  #fail(what: string): void {
    this.#own.fail++;
    this.report.fail(what);
    print(`not ok ${what}`);
  }

  /** Prints the file's line. `end` tells how the file's process ended, unless with status 0. */
  end(results: FinalResults, end: string | undefined): void {
    if (end !== undefined && this.#own.fail === 0) this.#fail(`${this.name} ${end}`);
    const { skipAll, skipReason } = results.plan as {
      skipAll?: boolean;
      skipReason?: string;
    } & object;
    if (skipAll) {
      this.#own.skip++;
      this.report.skip(this.name, skipReason || 'no reason given');
    } else if (!results.ok && this.#own.fail === 0) {
      const failure = results.failures.map((one) => ('tapError' in one ? one.tapError : '')).join();
      this.#fail(`${this.name}: ${failure || 'its output is no valid TAP'}`);
    }
    const { pass, fail, skip } = this.#own;
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    const rest = (fail ? `, ${fail} failed` : '') + (skip ? `, ${skip} skipped` : '');
    print(`${fail ? 'NOT OK' : 'ok'}  ${this.name}: ${pass} passed${rest} (${seconds} s)`);
  }
}
