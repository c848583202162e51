/**
 * Compiles the two executables into dist/ and holds them to their size.
 *
 * The version comes from package.json by import, see src/lib/version.ts. A command that is imported
 * when asked for stays lazy: the bundler wraps it and runs it at its `import()`.
 */

import { statSync } from "node:fs";

const PROGRAMS = [
  { source: "src/maestro.ts", outfile: "dist/maestro" },
  { source: "src/agent.ts", outfile: "dist/maestro-agent" },
];
const MEGABYTE = 1_000_000;
/** Bun itself is 107 MB of it. */
const SIZE_MEGABYTES_MAX = 120;

const OPTIONS = [
  "--compile",
  // Halves the time to start.
  "--bytecode",
  "--format=esm",
  // A megabyte less; names stay what they are.
  "--minify-whitespace",
  "--minify-syntax",
  // Stack traces name the file and line of the source.
  "--sourcemap",
  // A stray .env or bunfig.toml beside the executable must not configure it.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

let isGood = true;
for (const program of PROGRAMS) {
  isGood = build(program.source, program.outfile) && isGood;
}
process.exitCode = isGood ? 0 : 1;

function build(source: string, outfile: string): boolean {
  const compile = Bun.spawnSync(
    [process.execPath, "build", ...OPTIONS, source, "--outfile", outfile],
    { stdout: "inherit", stderr: "inherit" },
  );
  if (compile.exitCode !== 0) return complain(`Cannot build ${outfile}: the compiler failed`);
  const megabytes = statSync(outfile).size / MEGABYTE;
  say(`${outfile}: ${megabytes.toFixed(1)} MB`);
  if (megabytes > SIZE_MEGABYTES_MAX) {
    return complain(`Cannot accept ${outfile}: it may have at most ${SIZE_MEGABYTES_MAX} MB`);
  }
  return ["--help", "--version"].map((flag) => starts(outfile, flag)).every(Boolean);
}

function starts(outfile: string, flag: string): boolean {
  const started = performance.now();
  const run = Bun.spawnSync([`./${outfile}`, flag], { timeout: 30_000 });
  const elapsedMs = Math.round(performance.now() - started);
  const output = run.stdout.toString();
  if (run.exitCode !== 0 || output.trim() === "") {
    return complain(
      `Cannot start ${outfile} ${flag}: it exits with ${run.exitCode} and says\n` +
        output + run.stderr.toString(),
    );
  }
  say(`${outfile} ${flag}: ${elapsedMs} ms`);
  return true;
}

function complain(sentence: string): false {
  process.stderr.write(sentence + "\n");
  return false;
}

function say(line: string): void {
  process.stdout.write(line + "\n");
}
