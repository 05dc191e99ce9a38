/**
 * docs/charts and the table of docs/comparison.md match bench/runs, and are legible on any page.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { drawCharts } from '../../bench/charts.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = Object.entries(await drawCharts());

t.test('they are those of the runs (npm run charts)', (t) => {
  t.ok(files.length >= 4, 'three charts and a page');
  for (const [file, text] of files) {
    t.equal(readFileSync(join(root, file), 'utf8'), text, file);
  }
  t.end();
});

/** Relative luminance and contrast as in WCAG 2. */
function luminance(color: string): number {
  const [r = NaN, g = NaN, b = NaN] = [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [light = NaN, dark = NaN] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

t.test('their colours stand out from light and from dark pages', (t) => {
  for (const [file, text] of files.filter(([name]) => name.endsWith('.svg'))) {
    const used = [...text.matchAll(/(?:fill|stroke)="([^"]+)"/g)].map(([, color = '']) => color);
    const named = [...new Set(used)].filter((color) => !['none', 'transparent'].includes(color));
    t.ok(named.length > 2, `${file} has colours`);
    for (const color of named) {
      t.match(color, /^#[0-9a-f]{6}$/, `${file}: ${color}`);
      for (const page of ['#ffffff', '#0d1117']) {
        t.ok(contrast(color, page) >= 3.9, `${color} on ${page}: ${contrast(color, page)}`);
      }
    }
  }
  t.end();
});
