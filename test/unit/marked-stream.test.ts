import { PassThrough } from 'node:stream';
import t from 'tap';
import { MarkedStream } from '../machine/marked-stream.js';

const marker = '--marker-1';

/** Feeds pieces to a stream and returns its result. */
async function feed(...pieces: string[]) {
  const source = new PassThrough();
  const seen: string[] = [];
  const stream = new MarkedStream(source, marker, (chunk) => seen.push(chunk.toString()));
  for (const piece of pieces) source.write(piece);
  return { word: await stream.end, output: stream.output().toString(), seen };
}

t.test('the marker ends the output and carries a word', async (t) => {
  t.match(await feed(`text${marker} 42\n`), { word: '42', output: 'text' });
  t.match(await feed(`${marker}\n`), { word: '', output: '' });
});

t.test('the marker may come in pieces', async (t) => {
  const whole = `a\nb${marker} 7\n`;
  for (let cut = 1; cut < whole.length; cut++) {
    t.match(await feed(whole.slice(0, cut), whole.slice(cut)), { word: '7', output: 'a\nb' });
  }
  t.match(await feed(...whole), { word: '7', output: 'a\nb' }, 'byte by byte');
});

t.test('what only begins like the marker is output', async (t) => {
  t.match(await feed('--mark', 'et --marker-', `2--${marker} 0\n`), {
    word: '0',
    output: '--market --marker-2--',
  });
});

t.test('output is passed on before the end', async (t) => {
  const { seen } = await feed('first', 'second', `${marker} 0\n`);
  t.same(seen, ['first', 'second']);
});
