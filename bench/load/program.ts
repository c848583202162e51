/** A load generator: a child process that a bench tells what to do, and that says how it went. */

import { type Agents, receivedSoFar, startAgents } from "./agents.ts";
import { create, type Creates, report, type Reports } from "./calls.ts";
import { type FedReports, fedReports } from "./fed_reports.ts";
import { type Lives, lives } from "./lives.ts";
import { type RoundTrips, roundTrips } from "./round_trips.ts";
import { publishSpecs, type Specs } from "./specs.ts";
import { type Outcome, summary } from "./summary.ts";

/** What a load generator can be told. */
export type Task =
  | Creates
  | Reports
  | FedReports
  | RoundTrips
  | Lives
  | Agents
  | Specs
  | { task: "received"; what?: "messages" };

async function run(task: Task): Promise<Outcome> {
  switch (task.task) {
    case "create":
      return await create(task);
    case "report":
      return await report(task);
    case "fed_reports":
      return await fedReports(task);
    case "round_trip":
      return await roundTrips(task);
    case "lives":
      return await lives(task);
    case "agents":
      return await startAgents(task);
    case "specs":
      return await publishSpecs(task);
    case "received":
      return receivedSoFar(task.what);
  }
}

if (import.meta.main) {
  // It ends with the bench, however that ends.
  process.on("disconnect", () => process.exit());
  process.on("message", async (task: Task) => {
    const before = process.cpuUsage();
    const outcome = await run(task).catch((error) => ({
      ...summary([], 0),
      failure: String(error),
    }));
    const { user, system } = process.cpuUsage(before);
    process.send?.({ ...outcome, cpuMs: (user + system) / 1000 });
  });
  process.send?.("ready");
}
