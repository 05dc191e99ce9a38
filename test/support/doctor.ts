/** The output of `doctor`, as its tests read it. */
import type { Result } from './tare.js';

export interface Finding {
  group: string;
  name: string;
  status: 'ok' | 'limited' | 'missing';
  required: boolean;
  found: string;
  neededFor: string;
  remedy: string;
}

export interface Examination {
  canStart: boolean;
  rootless: boolean;
  stateRoot: string;
  findings: Finding[];
}

/** The arguments for output as JSON. */
export const asJson = ['doctor', '--format', 'json'];

export class Diagnosis {
  readonly examination: Examination;

  constructor(readonly result: Result) {
    if (result.stderr !== '') throw new Error(`doctor says ${result.stderr}`);
    this.examination = JSON.parse(result.stdout) as Examination;
  }

  of(name: string): Finding {
    const found = this.examination.findings.filter((finding) => finding.name === name);
    if (found.length !== 1) throw new Error(`${found.length} findings are called ${name}`);
    return found[0]!;
  }

  /** Names of the missing requirements that prevent this caller's containers from starting. */
  get lacks(): string[] {
    return this.examination.findings
      .filter(({ required, status }) => required && status === 'missing')
      .map(({ name }) => name);
  }
}
