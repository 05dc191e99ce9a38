/** npm run bench -- NAME [ARGUMENT...]: runs one benchmark. bench/README.md lists them. */
const questions: Record<string, () => Promise<{ main: (args: string[]) => Promise<number> }>> = {
  engines: () => import('./engines.js'),
  library: () => import('./library.js'),
  lifecycle: () => import('./lifecycle.js'),
  seccomp: () => import('./seccomp.js'),
};

const [name, ...args] = process.argv.slice(2);
const question = name === undefined ? undefined : questions[name];
if (question === undefined) {
  console.error(`usage: npm run bench -- NAME [ARGUMENT...]`);
  console.error(`NAME is one of: ${Object.keys(questions).join(', ')}`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await (await question()).main(args);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    // Other contenders are still running and waiting for their turns.
    process.exit(1);
  }
}
