/**
 * What does a seccomp profile add to a container's start: already compiled (warm), and compiled for
 * the first time (cold)? See bench/README.md.
 */
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBundle } from './bundle.js';
import type { Contender } from './contenders.js';
import { Commands } from './lifecycle-scenarios.js';
import { positive, runOptions, runUsage } from './options.js';
import {
  findContenders,
  machine,
  prepareWork,
  spawnProgram,
  work,
  writeRaw,
  type Machine,
} from './work-directory.js';
import { cgroupPrefix, runInPrivateView } from './private-view.js';
import { takeSamples, type Turn } from './sample.js';
import { likeDockers, readProfile } from './seccomp-profile.js';
import { formatTable, median } from './statistics.js';

const usage = `usage: npm run bench -- seccomp [OPTION...]
${runUsage}
  --profile FILE     the profile, in docker's format or as linux.seccomp; without it one of that size
  --out FILE         write the raw results there; without it to bench/runs`;

/** Where runtimes cache compiled filters, below their state; those not listed cache nothing. */
const caches: Record<string, string> = { tare: '.@seccomp', crun: '.cache/seccomp' };

interface Bundles {
  none: string;
  profile: string;
}

/**
 * Returns a contender's turns: without a profile, with one, and with one after its cache was
 * removed.
 */
function turnsOf(contender: Contender, bundles: Bundles): Turn[] {
  const place = { work, idPrefix: cgroupPrefix() };
  const state = (name: string) => join(work, 'state', name);
  const turn = (how: string, bundle: string, forget: string[][]): Turn => {
    const name = `${contender.name} ${how}`;
    // A separate state directory, and so a separate cache.
    const commands = new Commands(place, { ...contender, name: name.replace(' ', '-') });
    return {
      contender: name,
      before: [],
      each: [...forget, ['time', ...commands.run(bundle)]],
      after: [],
    };
  };
  const cache = caches[contender.name];
  const forget = ['run', '/bin/rm', '-rf', join(state(`${contender.name}-cold`), cache ?? '')];
  return [
    turn('none', bundles.none, []),
    turn('warm', bundles.profile, []),
    ...(cache === undefined ? [] : [turn('cold', bundles.profile, [forget])]),
  ];
}

interface Results extends Machine {
  rounds: number;
  profile: string;
  contenders: Record<string, string>;
  /** Nanoseconds of each counted round, by contender and variant. */
  ns: Record<string, number[]>;
}

function report({ contenders, ns }: Results): void {
  const ms = (name: string, how: string): number | undefined => {
    const values = ns[`${name} ${how}`];
    return values === undefined ? undefined : median(values) / 1e6;
  };
  const rows = [['', 'none', 'warm', 'cold', 'warm - none', 'cold - none']];
  const cost = (name: string, how: string): number | undefined => {
    const [base, value] = [ms(name, 'none'), ms(name, how)];
    return base === undefined || value === undefined ? undefined : value - base;
  };
  const cell = (value: number | undefined): string => value?.toFixed(2) ?? '';
  for (const name of Object.keys(contenders)) {
    rows.push([
      name,
      ...['none', 'warm', 'cold'].map((how) => cell(ms(name, how))),
      ...['warm', 'cold'].map((how) => cell(cost(name, how))),
    ]);
  }
  console.log(`\nrun of true, medians in ms\n\n${formatTable(rows)}`);
  const [ours, theirs] = [cost('tare', 'cold'), cost('crun', 'cold')];
  if (ours !== undefined && theirs !== undefined) {
    console.log(`\ncold, tare's cost as a part of crun's: ${(ours / theirs).toFixed(2)}`);
  }
}

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { ...runOptions, profile: { type: 'string' } } });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const rounds = positive('rounds', values.rounds, usage);
  const warmup = positive('warmup', values.warmup, usage);
  const status = await runInPrivateView();
  if (status !== undefined) return status;

  prepareWork([spawnProgram]);
  const profile = values.profile === undefined ? likeDockers() : readProfile(values.profile);
  const bundles = {
    none: makeBundle(join(work, 'none'), ['true']),
    profile: makeBundle(join(work, 'profile'), ['true'], { seccomp: profile }),
  };
  const { contenders, prefix } = findContenders(values.peer, values['peers-root']);
  const turns = contenders.flatMap((contender) => turnsOf(contender, bundles));
  const { samples } = takeSamples([...prefix, spawnProgram], turns, warmup + rounds);
  const results: Results = {
    ...machine(),
    rounds,
    profile: values.profile === undefined ? "of the size of docker's" : basename(values.profile),
    contenders: Object.fromEntries(contenders.map(({ name, version }) => [name, version])),
    ns: {},
  };
  for (const { round, contender, ns } of samples) {
    if (round >= warmup) (results.ns[contender] ??= []).push(...ns);
  }
  report(results);
  writeRaw(results, 'seccomp', values.out);
  return 0;
}
