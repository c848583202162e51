/** A server that is killed when an accept has committed, before it does anything else. */

import { connect } from "../../src/lib/db/connect.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { bundle, specEvent } from "./events.ts";

/** What it is given: the database, the consumer, and the id of the resource that it accepts. */
export type LastAccept = [url: string, consumerName: string, id: string];

const [url = "", consumerName = "", id = ""] = process.argv.slice(2);
const db = connect(url, { maxConnections: 1, applicationName: "doomed" });
await createAcceptor(db).create({
  ...{ id, name: id, source: "tests", consumerName, type: "Bundle", version: 1 },
  ...{ spec: bundle(), event: specEvent({ id, consumerName }) },
});
process.kill(process.pid, "SIGKILL");
