import type { Engine } from './case.js';
import { containerd } from './containerd.js';

export const engines: Engine[] = [containerd];
