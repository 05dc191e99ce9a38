import { join } from 'node:path';
import type { Contender } from './contenders.js';
import type { Turn } from './sample.js';

/** Paths that the contenders' command lines name. */
export interface Place {
  work: string;
  trueBundle: string;
  /** The same bundle with twenty bind mounts. */
  bindsBundle: string;
  sleepBundle: string;
  rootfs: string;
  floor: string;
  /** Prefix of each container's id. */
  idPrefix: string;
}

export interface Scenario {
  name: string;
  /** Number of rounds, if the user's number is not used. */
  rounds?: number;
  turns(place: Place, contenders: Contender[]): Turn[];
}

/** Command lines of one contender for one container. */
export class Commands {
  readonly #runtime: string[];
  readonly #id: string;
  readonly #pidFile: string;

  constructor(place: Pick<Place, 'work' | 'idPrefix'>, { name, path }: Contender) {
    const state = join(place.work, 'state', name);
    this.#runtime = [path, '--root', state];
    this.#id = `${place.idPrefix}${name}`;
    this.#pidFile = `${state}.pid`;
  }

  create(bundle: string): string[] {
    const options = ['--bundle', bundle, '--pid-file', this.#pidFile];
    return [...this.#runtime, 'create', ...options, this.#id];
  }
  run(bundle: string): string[] {
    return [...this.#runtime, 'run', '--bundle', bundle, this.#id];
  }
  exec(...command: string[]): string[] {
    return [...this.#runtime, 'exec', this.#id, ...command];
  }
  on(verb: string, ...args: string[]): string[] {
    return [...this.#runtime, verb, this.#id, ...args];
  }
  /** Waits for the container's own process. */
  reap(): string[] {
    return ['reap', this.#pidFile];
  }
}

/** Turns in which each contender has a container that runs throughout all rounds. */
function withRunning(
  place: Place,
  contenders: Contender[],
  each: (commands: Commands) => string[][],
): Turn[] {
  return contenders.map((contender) => {
    const commands = new Commands(place, contender);
    return {
      contender: contender.name,
      before: [
        ['run', ...commands.create(place.sleepBundle)],
        ['run', ...commands.on('start')],
      ],
      each: each(commands),
      after: [
        ['run', ...commands.on('kill', 'KILL')],
        commands.reap(),
        ['run', ...commands.on('delete')],
      ],
    };
  });
}

/** Turns in which each contender starts anew in each round. */
function anew(
  place: Place,
  contenders: Contender[],
  each: (commands: Commands) => string[][],
): Turn[] {
  return contenders.map((contender) => ({
    contender: contender.name,
    before: [],
    each: each(new Commands(place, contender)),
    after: [],
  }));
}

export const scenarios: Scenario[] = [
  {
    name: 'run',
    turns: (place, contenders) => [
      {
        contender: 'floor',
        before: [],
        each: [
          [
            ...['time', place.floor, '--cgroup', `/sys/fs/cgroup/${place.idPrefix}floor`],
            ...[place.rootfs, '/bin/true'],
          ],
        ],
        after: [],
      },
      ...anew(place, contenders, (commands) => [['time', ...commands.run(place.trueBundle)]]),
    ],
  },
  {
    name: 'run-20-binds',
    turns: (place, contenders) =>
      anew(place, contenders, (commands) => [['time', ...commands.run(place.bindsBundle)]]),
  },
  {
    name: 'create+start+delete',
    turns: (place, contenders) =>
      anew(place, contenders, (commands) => [
        ['time', ...commands.create(place.trueBundle)],
        ['time', ...commands.on('start')],
        commands.reap(),
        ['time', ...commands.on('delete')],
      ]),
  },
  {
    name: 'exec',
    turns: (place, contenders) =>
      withRunning(place, contenders, (commands) => [['time', ...commands.exec('/bin/true')]]),
  },
  {
    name: 'state',
    turns: (place, contenders) =>
      withRunning(place, contenders, (commands) => [['time', ...commands.on('state')]]),
  },
  {
    // Memory between create and start.
    name: 'created',
    rounds: 10,
    turns: (place, contenders) =>
      anew(place, contenders, (commands) => [
        ['run', ...commands.create(place.trueBundle)],
        ['pss'],
        ['run', ...commands.on('kill', 'KILL')],
        commands.reap(),
        ['run', ...commands.on('delete')],
      ]),
  },
];
