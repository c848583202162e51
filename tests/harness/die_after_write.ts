/** A server that is killed when a change over REST has committed, before its answer is kept or sent. */

import { connect } from "../../src/lib/db/connect.ts";
import { createLogger } from "../../src/lib/log.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor, type SpecDoor } from "../../src/lib/spec/door.ts";

/** What it is given: the database, and the request as JSON. */
export type LastRequest = [url: string, request: string];

const [url = "", request = "{}"] = process.argv.slice(2);
const { path, ...init } = JSON.parse(request);
const db = connect(url, { maxConnections: 4, applicationName: "doomed" });
const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
const spec = createSpecDoor(db, createAcceptor(db), log);
const { writer } = spec;
const last = <Args extends unknown[], T>(write: (...args: Args) => Promise<T>) =>
async (
  ...args: Args
): Promise<T> => {
  const written = await write(...args);
  process.kill(process.pid, "SIGKILL");
  return written;
};
const doomed: SpecDoor = {
  ...spec,
  writer: {
    create: last(writer.create),
    apply: last(writer.apply),
    patch: last(writer.patch),
    delete: last(writer.delete),
  },
};
await createRestApp({ db, spec: doomed, log, metrics: createMetrics() }).request(path, init);
