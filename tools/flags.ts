/** The flags of a tool: read as the programs read theirs, and described by `--help`. */

import { MaestroError } from "../src/lib/errors.ts";
import { describeFlags, type FlagTable, type FlagValues, parseFlags } from "../src/lib/flags.ts";

/**
 * The values of this process's flags. Ends the process where there is nothing to do: with 0 after the help, and with 2
 * after a line that says which flag was wrong and what was expected.
 */
export function readFlags<Table extends FlagTable>(
  command: string,
  table: Table,
): FlagValues<Table> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${command} [flags]\n\n${describeFlags(table)}\n`);
    process.exit(0);
  }
  try {
    const { values, rest: [word] } = parseFlags(table, args, {});
    if (word === undefined) return values;
    throw new MaestroError("invalid_argument", `Unknown argument "${word}": see --help`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
