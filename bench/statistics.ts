/**
 * Returns the value below which the given part (0 to 1) of the values lies; of two middle ones the
 * lower.
 */
export function quantile(values: number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  if (value === undefined) throw new Error('no values');
  return value;
}

export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/**
 * Formats rows of cells as text with aligned columns: the first to the left, all others to the
 * right.
 */
export function formatTable(rows: string[][]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  }
  const format = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(format).join('  ').trimEnd()).join('\n');
}
