/** Draws charts as SVG, with one row per item, for light and for dark pages. */
import * as vega from 'vega';

export interface Figure {
  row: string;
  series: string;
  value: number;
  /** Bounds between which most of the samples lie. */
  low?: number;
  high?: number;
}

export interface Plot {
  title: string;
  /** Title of the axis, with its unit. */
  axis: string;
  /** Series in order, with their colours. */
  series: readonly (readonly [name: string, color: string])[];
  figures: readonly Figure[];
}

/**
 * Halfway between black and white, so that they are visible on a light and on a dark page, as
 * test/pages/charts.test.ts checks.
 */
export const colors = {
  ink: '#767e88',
  ours: '#3c7fd9',
  kernel: '#767e88',
  first: '#b86e1a',
  second: '#b0609a',
} as const;

const width = 780;
const labelWidth = 175;
const figureWidth = 60;
const dotRow = 30;
const barWidth = 13;

/**
 * Draws a dot per figure, those of all series on one line, on a logarithmic axis: for values that
 * are far apart.
 */
export async function drawDots(plot: Plot): Promise<string> {
  const values = plot.figures.flatMap(({ value, low = value, high = value }) => [low, high]);
  const domain: [number, number] = [Math.min(...values) * 0.8, Math.max(...values) * 1.1];
  const middle = { y: { scale: 'y', field: 'row', band: 0.5 } } as const;
  return draw(plot, dotRow, { type: 'log', domain }, ticks(...domain), [
    {
      type: 'rule',
      from: { data: 'figures' },
      encode: {
        enter: {
          ...middle,
          x: { scale: 'x', field: 'low' },
          x2: { scale: 'x', field: 'high' },
          stroke: { scale: 'color', field: 'series' },
          strokeWidth: { value: 3 },
          strokeCap: { value: 'round' },
          opacity: { value: 0.5 },
        },
      },
    },
    {
      type: 'symbol',
      from: { data: 'figures' },
      encode: {
        enter: {
          ...middle,
          x: { scale: 'x', field: 'value' },
          fill: { scale: 'color', field: 'series' },
          size: { value: 70 },
        },
      },
    },
    number({ ...middle, dy: { value: -8 }, align: { value: 'center' } }),
  ]);
}

/** Draws a bar per figure, those of a row below each other, on an axis from 0. */
export async function drawBars(plot: Plot): Promise<string> {
  const most = Math.max(...plot.figures.map(({ value }) => value));
  const names = plot.series.map(([name]) => name);
  const top = { scale: 'y', field: 'row', offset: { scale: 'lane', field: 'series' } } as const;
  const rowHeight = barWidth * names.length + 10;
  return draw(
    plot,
    rowHeight,
    { type: 'linear', domain: [0, most] },
    undefined,
    [
      {
        type: 'rect',
        from: { data: 'figures' },
        encode: {
          enter: {
            y: top,
            height: { value: barWidth - 2 },
            x: { scale: 'x', value: 0 },
            x2: { scale: 'x', field: 'value' },
            fill: { scale: 'color', field: 'series' },
          },
        },
      },
      number({ y: top, dy: { value: barWidth - 3 }, dx: { value: 4 } }),
    ],
    [
      {
        name: 'lane',
        type: 'ordinal',
        domain: names,
        range: names.map((_name, lane) => 5 + lane * barWidth),
      },
    ],
  );
}

/** The figure as text beside its mark. */
function number(place: vega.EncodeEntry): vega.TextMark {
  return {
    type: 'text',
    from: { data: 'figures' },
    encode: {
      enter: {
        x: { scale: 'x', field: 'value' },
        fill: { scale: 'color', field: 'series' },
        fontSize: { value: 11 },
        text: { field: 'text' },
        ...place,
      },
    },
  };
}

async function draw(
  plot: Plot,
  rowHeight: number,
  x: { type: 'log' | 'linear'; domain: [number, number] },
  values: number[] | undefined,
  marks: vega.Mark[],
  scales: vega.Scale[] = [],
): Promise<string> {
  const rows = [...new Set(plot.figures.map(({ row }) => row))];
  const spec: vega.Spec = {
    width: width - labelWidth - figureWidth,
    height: rows.length * rowHeight,
    padding: { left: labelWidth, right: figureWidth, top: 66, bottom: 42 },
    autosize: 'none',
    background: 'transparent',
    data: [
      {
        name: 'figures',
        values: plot.figures.map((figure) => ({
          ...{ low: figure.value, high: figure.value, ...figure },
          text: shortened(figure.value),
        })),
      },
    ],
    scales: [
      { name: 'x', range: 'width', ...x },
      { name: 'y', type: 'band', domain: rows, range: 'height' },
      {
        name: 'color',
        type: 'ordinal',
        domain: plot.series.map(([name]) => name),
        range: plot.series.map(([, color]) => color),
      },
      ...scales,
    ],
    axes: [
      {
        ...{ orient: 'bottom', scale: 'x', title: plot.axis, titlePadding: 8 },
        ...{ grid: true, gridOpacity: 0.25, tickCount: 6, domain: false, ticks: false },
        format: '~r',
        ...(values && { values }),
      },
      { orient: 'left', scale: 'y', domain: false, ticks: false, labelPadding: 10 },
    ],
    title: { text: plot.title, anchor: 'start', frame: 'group', offset: 12 },
    legends: [legend()],
    marks,
    config: style,
  };
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  return `${await view.toSVG()}\n`;
}

/** Formats a number with three digits. */
const shortened = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value.toPrecision(3);

function legend(): vega.Legend {
  return {
    fill: 'color',
    orient: 'none',
    direction: 'horizontal',
    legendX: 0,
    legendY: -32,
    symbolType: 'circle',
    symbolSize: 70,
    columnPadding: 24,
  };
}

/** Returns the ticks 1, 2, 5, 10, … of a logarithmic axis. */
function ticks(low: number, high: number): number[] {
  const all = [];
  for (let ten = 0.01; ten < high; ten *= 10) all.push(ten, 2 * ten, 5 * ten);
  return all.map((tick) => Number(tick.toPrecision(1))).filter((t) => t >= low && t <= high);
}

const font = 'system-ui, sans-serif';
const style: vega.Config = {
  axis: {
    labelColor: colors.ink,
    titleColor: colors.ink,
    gridColor: colors.ink,
    labelFont: font,
    titleFont: font,
    titleFontWeight: 'normal',
    labelFontSize: 12,
    titleFontSize: 12,
    labelLimit: 0,
  },
  title: { color: colors.ink, font, fontSize: 14 },
  legend: { labelColor: colors.ink, labelFont: font, labelFontSize: 12 },
  text: { font },
};
