/**
 * The program that versions.test.ts runs under each Node with the installed package: node PROGRAM
 * ROOT BUNDLE prints a JSON object. The bundle's program prints "ready" and waits.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Container, TareError, run } from 'tare';

const [root = '', bundle = ''] = isMainThread ? process.argv.slice(2) : (workerData as string[]);
const options = { root };
const warnings: string[] = [];
process.on('warning', ({ name, message }) => warnings.push(`${name}: ${message}`));

function rejection(promise: PromiseLike<unknown>): Promise<string> {
  return Promise.resolve(promise).then(
    () => 'none',
    (error: unknown) => (error instanceof TareError ? error.code : String(error)),
  );
}

async function runs() {
  const hello = await run(['sh', '-c', 'echo $0 $1; echo error >&2', 'a', 'b c'], options);
  const abort = new AbortController();
  const aborted = rejection(run(['sleep', '60'], { ...options, signal: abort.signal }));
  setTimeout(() => abort.abort(), 50);
  return {
    output: [hello.stdout, hello.stderr, hello.exitCode],
    failed: await rejection(run(['sh', '-c', 'exit 3'], options)),
    timedOut: await rejection(run(['sleep', '60'], { ...options, timeout: 50 })),
    aborted: await aborted,
  };
}

/** Sends more than a pipe holds through a container and back. */
async function streams() {
  const cat = run(['cat'], { ...options, stdin: 'pipe', buffer: false });
  let received = 0;
  cat.stdout?.on('data', (chunk: Buffer) => (received += chunk.length));
  const chunk = Buffer.alloc(1 << 16, 'x');
  for (let sent = 0; sent < 64; sent++) {
    if (cat.stdin?.write(chunk) === false) await once(cat.stdin, 'drain');
  }
  cat.stdin?.end();
  await cat;
  return received;
}

async function terminal() {
  const size = await run(['sh', '-c', 'stty size; test -t 0 && echo terminal'], {
    ...options,
    tty: { columns: 111, rows: 22 },
  });
  return size.stdout;
}

async function containers() {
  let id = '';
  let during: unknown;
  {
    await using container = await Container.create(`versions-${process.pid}`, {
      bundle,
      stdio: ['ignore', 'pipe', 'inherit'],
      ...options,
    });
    id = container.id;
    const created = (await container.state()).status;
    await container.start();
    const [ready] = (await once(container.stdout!, 'data')) as [Buffer];
    const shell = await container.exec({ args: ['sh', '-c', 'exit 5'] }, { stdio: 'ignore' });
    during = {
      created,
      ready: ready.toString(),
      status: (await container.state()).status,
      listed: (await Container.list(options)).map((state) => state.id === id),
      exec: await shell.wait(),
    };
  }
  return { during, after: await rejection(Container.open(id, options)) };
}

async function killed() {
  const container = await Container.create(`killed-${process.pid}`, {
    bundle,
    start: true,
    stdio: 'ignore',
    ...options,
  });
  await container.kill('SIGKILL');
  const status = await container.wait();
  await container.delete();
  return status;
}

async function inWorker() {
  const worker = new Worker(new URL(import.meta.url), { workerData: [root, bundle] });
  const [message] = (await once(worker, 'message')) as [unknown];
  await once(worker, 'exit');
  return message;
}

if (isMainThread) {
  const required = createRequire(import.meta.url)('tare') as { run: unknown };
  const answers = {
    runs: await runs(),
    streams: await streams(),
    terminal: await terminal(),
    containers: await containers(),
    killed: await killed(),
    worker: await inWorker(),
    sameByRequire: required.run === run,
  };
  await new Promise(setImmediate);
  console.log(JSON.stringify({ ...answers, warnings }));
} else {
  parentPort?.postMessage({ runs: await runs(), containers: await containers() });
}
