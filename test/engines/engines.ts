import type { Engine } from './case.js';
import { containerd } from './containerd.js';
import { docker } from './docker.js';
import { podman } from './podman.js';

export const engines: Engine[] = [containerd, podman, docker];
