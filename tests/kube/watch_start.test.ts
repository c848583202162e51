/** How watches begin, at servers that tell of all objects first and at those that take no notice of being asked to. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWatches } from "../../src/lib/work/watches.ts";
import { eventually } from "../harness/eventually.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSimulatedCluster, writeKubeconfig } from "../harness/simulated_cluster.ts";
import { configMap, openKubeconfig, refOf, WRITER } from "./objects.ts";

test.each([["heeds", false], ["passes over", true]] as const)(
  "what is wanted and not there is told where the server %s how a watch is to begin",
  async (_, isOld) => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(openSimulatedCluster({ isOld }));
    const folder = mkdtempSync(join(tmpdir(), "maestro-watch-"));
    stack.defer(() => rmSync(folder, { recursive: true }));
    writeKubeconfig(join(folder, "kubeconfig"), cluster.port);
    const kube = await openKubeconfig(join(folder, "kubeconfig"), { initialSilenceMs: 50 });
    const there = await refOf(kube, "v1", "ConfigMap");
    const gone = await refOf(kube, "v1", "ConfigMap");
    await kube.create(there, configMap(there), WRITER);

    const seen = new Map<string, boolean>();
    const watches = stack.use(
      startWatches(kube, (_, { name }, { object }) => seen.set(name, object !== undefined), {
        pollMs: 50,
        log: testLogger(),
      }),
    );
    watches.want("work", [there, gone].map((ref) => ({ ref, isWhole: true })));

    await eventually(() => seen.size, (count) => count === 2);
    expect([seen.get(there.name), seen.get(gone.name)]).toEqual([true, false]);
    // It goes on from there.
    await cluster.kube().create(gone, configMap(gone), WRITER);
    await eventually(() => seen.get(gone.name), Boolean);
  },
);
