/** Pace and second tries: a real API server behind a door that is sometimes closed. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { findKubeAccess, type KubeAccess } from "../../src/lib/kube/access.ts";
import { openKube } from "../../src/lib/kube/client.ts";
import { createTokenBucket } from "../../src/lib/kube/token_bucket.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { configMap, metadata, refOf, refusal, WRITER } from "./objects.ts";

let kubernetes: Kubernetes;
let access: KubeAccess;
let ca: string;

beforeAll(async () => {
  kubernetes = await startKubernetes();
  access = await findKubeAccess({ kubeconfig: kubernetes.kubeconfig }, process.env);
  ca = await Bun.file(join(kubernetes.directory, "ca.crt")).text();
}, 60_000);

afterAll(() => kubernetes[Symbol.asyncDispose](), 20_000);

/** Carries requests to the API server, except those that `refuse` answers itself. */
function startDoor(refuse: (request: Request) => Response | undefined) {
  const seen: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      seen.push(`${request.method} ${pathname}`);
      const refused = refuse(request);
      if (refused) return refused;
      const { method, headers } = request;
      const body = method === "GET" ? null : await request.text();
      headers.delete("host");
      return fetch(kubernetes.url + pathname + search, { method, headers, body, tls: { ca } });
    },
  });
  const kube = openKube({ ...access, server: `http://127.0.0.1:${server.port}` });
  return { kube, seen, [Symbol.dispose]: () => server[Symbol.dispose]() };
}

const later = () => new Response("later", { status: 429, headers: { "retry-after": "0" } });

test("a call is tried again when the server is too busy, but not for ever", async () => {
  let refusals = 0;
  using door = startDoor((request) =>
    new URL(request.url).pathname.includes("configmaps") && refusals-- > 0 ? later() : undefined
  );
  const ref = await refOf(door.kube, "v1", "ConfigMap");
  door.seen.length = 0;

  refusals = 3;
  expect(await door.kube.get(ref)).toBeUndefined();
  expect(door.seen).toHaveLength(4);

  refusals = 100;
  const error = await refusal(door.kube.get(ref));
  expect([error.status, error.reason, error.message]).toEqual([429, "TooManyRequests", "later"]);
  expect(door.seen).toHaveLength(8);
});

test("a write that was turned down for the number of calls is tried again: it was not carried out", async () => {
  let refusals = 2;
  using door = startDoor(({ method }) => method !== "GET" && refusals-- > 0 ? later() : undefined);
  const ref = await refOf(door.kube, "v1", "ConfigMap");
  door.seen.length = 0;

  const made = await door.kube.create(ref, configMap(ref), WRITER);
  expect(door.seen).toHaveLength(3);
  refusals = 1;
  await door.kube.delete(ref, {
    uid: String(metadata(made)["uid"]),
    propagationPolicy: "Background",
  });

  expect(door.seen.slice(3).map((line) => line.split(" ")[0])).toEqual(["DELETE", "DELETE"]);
  expect(await door.kube.get(ref)).toBeUndefined();
});

test("when the server asks one call to wait, the others wait too", async () => {
  const busy = () => new Response("later", { status: 429, headers: { "retry-after": "1" } });
  let refusals = 1;
  using door = startDoor(() => refusals-- > 0 ? busy() : undefined);
  const started = performance.now();
  const first = refOf(door.kube, "v1", "ConfigMap");
  // Long enough for the answer to be back, and short of the pause that it asks for.
  await Bun.sleep(200);

  await refOf(door.kube, "apps/v1", "Deployment");
  await first;

  expect(performance.now() - started).toBeGreaterThan(900);
  expect(door.seen).toEqual(["GET /api/v1", "GET /api/v1", "GET /apis/apps/v1"]);
});

test("a write that failed in any other way is sent once", async () => {
  const broken = () => new Response("broken", { status: 503, headers: { "retry-after": "0" } });
  using door = startDoor((request) => request.method === "POST" ? broken() : undefined);
  const ref = await refOf(door.kube, "v1", "ConfigMap");
  door.seen.length = 0;

  const error = await refusal(door.kube.create(ref, configMap(ref), WRITER));

  expect(error.status).toBe(503);
  expect(door.seen).toEqual(["POST /api/v1/namespaces/default/configmaps"]);
});

test("a read is not tried again when the server does not ask for it", async () => {
  using door = startDoor((request) =>
    request.url.includes("configmaps") ? new Response("broken", { status: 500 }) : undefined
  );
  const ref = await refOf(door.kube, "v1", "ConfigMap");
  door.seen.length = 0;

  expect((await refusal(door.kube.get(ref))).reason).toBe("InternalError");
  expect(door.seen).toHaveLength(1);
});

test("a redirect is not followed, since it could carry the token elsewhere", async () => {
  using elsewhere = startDoor(() => Response.json({ kind: "APIResourceList", resources: [] }));
  using door = startDoor(() => Response.redirect(elsewhere.kube.description));

  const error = await refusal(door.kube.resolve("v1", "Pod"));

  expect(error.status).toBe(0);
  expect(elsewhere.seen).toEqual([]);
});

test("an answer that is not JSON is an error", async () => {
  using door = startDoor(() => new Response("<html>"));

  expect((await refusal(door.kube.resolve("v1", "Pod"))).reason).toBe("InvalidAnswer");
});

test("while the server asks for a pause nobody calls it, and afterwards nobody rushes", async () => {
  let nowMs = 0;
  const bucket = createTokenBucket({ ratePerSecond: 100, burst: 10 }, () => nowMs);
  bucket.hold(1);
  const passed: number[] = [];
  const waiting = [0, 1].map(async (i) => {
    await bucket.take();
    passed.push(i);
  });
  await Bun.sleep(20);
  expect(passed).toEqual([]);

  nowMs = 1;
  await waiting[0];
  expect(passed).toEqual([0]);
  nowMs = 11;
  await waiting[1];
});

test("calls beyond the burst come at the rate, in their order", async () => {
  const bucket = createTokenBucket({ ratePerSecond: 50, burst: 2 });
  const order: number[] = [];
  const started = performance.now();

  await Promise.all([0, 1, 2, 3].map(async (i) => {
    await bucket.take();
    order.push(i);
  }));

  expect(order).toEqual([0, 1, 2, 3]);
  expect(performance.now() - started).toBeGreaterThan(35);
});

test("a watch does not wait for the calls that wait", async () => {
  const bucket = createTokenBucket({ ratePerSecond: 100, burst: 1 });
  const order: string[] = [];
  const take = async (lane: "watch" | "call") => {
    await bucket.take(undefined, lane);
    order.push(lane);
  };

  await Promise.all([take("call"), take("call"), take("call"), take("watch")]);

  expect(order).toEqual(["call", "watch", "call", "call"]);
});

test("whoever waits for a turn can be called off", async () => {
  const bucket = createTokenBucket({ ratePerSecond: 0.001, burst: 1 });
  const stop = new AbortController();
  await bucket.take();

  const waiting = bucket.take(stop.signal);
  stop.abort(new Error("enough"));

  await expect(waiting).rejects.toThrow("enough");
});
