/**
 * What `require('tare')` returns: the same library, by require(esm). It is a separate module
 * because the types of a CommonJS package need a file of their own, and because Node 20 warns about
 * a require(esm) outside of node_modules.
 */
import type * as tare from './index.js' with { 'resolution-mode': 'import' };

export type * from './index.js' with { 'resolution-mode': 'import' };

// eslint-disable-next-line @typescript-eslint/no-require-imports
const library = require('./index.js') as typeof tare;

export const run: typeof tare.run = library.run;
export const sandboxSpec: typeof tare.sandboxSpec = library.sandboxSpec;
export const validate: typeof tare.validate = library.validate;
export const defaultSeccomp: typeof tare.defaultSeccomp = library.defaultSeccomp;
export const Container: typeof tare.Container = library.Container;
export type Container = tare.Container;
export const ContainerProcess: typeof tare.ContainerProcess = library.ContainerProcess;
export type ContainerProcess = tare.ContainerProcess;
export const TareError: typeof tare.TareError = library.TareError;
export type TareError = tare.TareError;
