/**
 * in-process.ts ROOT BUNDLE ID HEAP-MB: containers created from within Node, for lifecycle.ts. For
 * each byte on stdin it creates, starts, awaits and deletes one container through the library, and
 * prints a line {"ns":...}.
 */
import { Container } from '../lib/index.js';

/** Returns that many MB of JavaScript heap, in arrays of doubles. */
function fillHeap(megabytes: number): number[][] {
  const doublesInMegabyte = 131072;
  return Array.from({ length: megabytes }, (_, i) =>
    Array.from({ length: doublesInMegabyte }, (_, j) => i + j + 0.5),
  );
}

async function cycle(root: string, bundle: string, id: string): Promise<number> {
  const begin = process.hrtime.bigint();
  const container = await Container.create(id, { root, bundle });
  await container.start();
  const { exitCode } = await container.wait();
  await container.delete();
  const elapsed = Number(process.hrtime.bigint() - begin);
  if (exitCode !== 0) throw new Error(`the container exited with ${exitCode}`);
  return elapsed;
}

const [root = '', bundle = '', id = '', heapMegabytes = ''] = process.argv.slice(2);
const heap = fillHeap(Number(heapMegabytes));
for await (const bytes of process.stdin) {
  if ((bytes as Buffer).length !== 1)
    throw new Error('asked for a cycle before the last had ended');
  console.log(JSON.stringify({ ns: await cycle(root, bundle, id) }));
}
// Keeps the heap in use until here, so that it is not garbage collected.
if (heap.length !== Number(heapMegabytes)) throw new Error('the heap has another size');
