/** The command line: picks a command and imports it only then. */

import { MaestroError } from "./lib/errors.ts";
import { describeFlags } from "./lib/flags.ts";
import { VERSION } from "./lib/version.ts";
import { runProgram, untilSignal } from "./program.ts";

const USAGE =
  `Maestro stores Kubernetes manifests for many clusters, delivers them, and brings their
status back.

Usage: maestro <command> [flags]

Commands:
  server     Runs the server. Without flags it starts a PostgreSQL of its own
  migration  Brings the database's schema up to date and exits

maestro <command> --help lists the flags; each can be given as an environment variable too.
`;

/** Runs the command line and resolves to the exit code. */
async function main([command, ...args]: string[]): Promise<number> {
  const wantsHelp = args.includes("--help") || args.includes("-h");
  switch (command) {
    case undefined:
    case "help":
    case "--help":
    case "-h":
      process.stdout.write(USAGE);
      return 0;
    case "version":
    case "--version":
      process.stdout.write(`maestro ${VERSION}\n`);
      return 0;
    case "server": {
      if (wantsHelp) return await help("server", "SERVER_FLAGS");
      const { runServer } = await import("./server.ts");
      await runServer(args, untilSignal());
      return 0;
    }
    case "migration": {
      if (wantsHelp) return await help("migration", "DATABASE_FLAGS");
      const { runMigration } = await import("./migration.ts");
      await runMigration(args);
      return 0;
    }
    default:
      throw new MaestroError(
        "invalid_argument",
        `Unknown command "${command}": see maestro --help`,
      );
  }
}

async function help(command: string, table: "SERVER_FLAGS" | "DATABASE_FLAGS"): Promise<number> {
  const flags = (await import("./lib/config.ts"))[table];
  process.stdout.write(`Usage: maestro ${command} [flags]\n\n${describeFlags(flags)}\n`);
  return 0;
}

if (import.meta.main) await runProgram(main);
