/** Cases of engines with similar command lines: docker and podman. */
import assert from 'node:assert/strict';
import { quote } from '../machine/vm.js';
import type { Case } from './case.js';
import type { Guest, Output } from './guest.js';
import { imageName as image } from './image.js';

export interface Alike {
  readonly guest: Guest;
  /** The name of the program. */
  readonly command: string;
  /** Starts a container that sleeps until it is killed. */
  sleeper(name: string, flags?: string): Promise<unknown>;
  /** Removes a container and checks that nothing of it is left. */
  remove(name: string): Promise<void>;
}

export const shell = (script: string) => `sh -c ${quote(script)}`;

/** `more` runs before the container is removed. */
export function running(engine: Alike, more?: (name: string) => Promise<void>): Case {
  const { guest, command } = engine;
  return {
    name: 'run',
    async run() {
      const script = 'echo out; echo err >&2; tty; pwd; echo $PATH; exit 42';
      const ended = await guest.run(`${command} run --name plain ${image} ${shell(script)}`);
      ended.expect({ status: 42, stdout: 'out\nnot a tty\n/\n/bin\n', stderr: 'err\n' });
      await more?.('plain');
      await engine.remove('plain');
    },
  };
}

export function terminals({ guest, command }: Alike): Case {
  return {
    name: 'tty and standard input',
    async run() {
      const typed = await guest.run(
        `echo line | ${command} run --rm --interactive ${image} head -n 1`,
      );
      typed.expect({ stdout: 'line\n' });
      const script = 'tty; read line; echo "got $line"; exit 3';
      const line = `${command} run --rm --interactive --tty ${image} ${shell(script)}`;
      const ended = await guest.onTerminal(line, 'typed\n');
      ended.expect({ status: 3, stdout: /^\/dev\/pts\/0\r+\n[^]*got typed\r+\n$/m });
    },
  };
}

/** `absent` checks the result of an exec of a command that does not exist. */
export function executing(engine: Alike, absent: (ended: Output) => void): Case {
  const { guest, command } = engine;
  return {
    name: 'exec',
    async run() {
      await engine.sleeper('host', '--env A=one');
      const script = 'tr "\\0" " " </proc/1/cmdline; echo $A $B; pwd; id -u; exit 5';
      const flags = '--env B=two --workdir /tmp --user 7';
      const plain = await guest.run(`${command} exec ${flags} host ${shell(script)}`);
      plain.expect({ status: 5, stdout: 'sleep 1000 one two\n/tmp\n7\n' });
      const input = await guest.run(`echo line | ${command} exec --interactive host head -n 1`);
      input.expect({ stdout: 'line\n' });
      const terminal = await guest.onTerminal(`${command} exec --tty host ${shell('tty; exit 6')}`);
      terminal.expect({ status: 6, stdout: /^\/dev\/pts\/\d+\r+\n/m });
      absent(await guest.run(`${command} exec host nosuchcommand`));
      (await guest.run(`${command} exec host /etc/passwd`)).expect({ status: 126 });
      await guest.ok(`${command} exec --detach host touch /executed`);
      await guest.until(`${command} exec host test -e /executed`);
      await engine.remove('host');
    },
  };
}

export function ending(engine: Alike): Case {
  const { guest, command } = engine;
  return {
    name: 'stop, kill, wait, logs',
    async run() {
      const script = 'trap "echo terminated; exit 7" TERM; echo ready; while :; do sleep 0.2; done';
      await guest.ok(`${command} run --detach --name traps ${image} ${shell(script)}`);
      await guest.until(`${command} logs traps | grep ready`);
      await guest.ok(`${command} stop --time 20 traps`);
      assert.equal(await guest.ok(`${command} wait traps`), '7\n');
      assert.equal(await guest.ok(`${command} logs traps`), 'ready\nterminated\n');
      await guest.ok(`${command} start traps`);
      await guest.ok(`${command} kill --signal KILL traps`);
      assert.equal(await guest.ok(`${command} wait traps`), '137\n');
      await engine.remove('traps');
    },
  };
}

/** inspect with `format` prints `told` after two restarts. */
export function restarting(engine: Alike, format: string, told: string): Case {
  const { guest, command } = engine;
  return {
    name: 'restart policy',
    async run() {
      const flags = '--restart on-failure:2 --name failing';
      await guest.ok(`${command} run --detach ${flags} ${image} ${shell('echo once; exit 3')}`);
      await guest.until(`test "$(${command} logs failing | wc -l)" = 3`, 60);
      const inspected = `${command} inspect --format ${quote(format)} failing`;
      await guest.until(`test "$(${inspected})" = ${quote(told)}`);
      await engine.remove('failing');
    },
  };
}

export function volumes({ guest, command }: Alike): Case {
  return {
    name: 'volumes, tmpfs, read-only root, ulimits, devices',
    async run() {
      const flags =
        '--read-only --volume kept:/kept --volume /etc:/host:ro --tmpfs /scratch:size=1m ' +
        '--ulimit nofile=99:100 --shm-size 2m --device /dev/null:/dev/nothing';
      const script =
        'echo text >/kept/file; echo text >/scratch/file; ulimit -n; cat /host/hostname; ' +
        'echo gone >/dev/nothing; touch /host/new; touch /new; df -k /dev/shm | tail -n 1';
      const ended = await guest.run(`${command} run --rm ${flags} ${image} ${shell(script)}`);
      ended.expect({
        stdout: /^99\nguest\nshm +2048 /,
        stderr: /\/host\/new: Read-only file system\n.*\/new: Read-only file system/,
      });
      assert.equal(await guest.ok(`${command} run --rm -v kept:/k ${image} cat /k/file`), 'text\n');
    },
  };
}

/** `capabilities` are the engine's default ones. */
export function confining({ guest, command }: Alike, capabilities: string): Case {
  return {
    name: 'seccomp, capabilities, no new privileges',
    async run() {
      const status = shell(`grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`);
      (await guest.run(`${command} run --rm ${image} ${status}`)).expect({
        stdout: `CapEff:\t${capabilities}\nCapBnd:\t${capabilities}\nNoNewPrivs:\t0\nSeccomp:\t2\n`,
      });
      const flags =
        '--cap-drop all --cap-add chown --security-opt no-new-privileges --security-opt seccomp=unconfined';
      (await guest.run(`${command} run --rm ${flags} ${image} ${status}`)).expect({
        stdout:
          'CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t0\n',
      });
      const all = await guest.ok(`${command} run --rm --privileged ${image} ${status}`);
      assert.match(all, /CapEff:\t000001ffffffffff\n.*\n.*\nSeccomp:\t0\n/);
    },
  };
}
