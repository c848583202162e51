/** The doors for probes and Prometheus. */

import { expect, test } from "bun:test";
import { createMetrics } from "../../src/lib/metrics.ts";
import { serveHealth } from "../../src/lib/ops/health.ts";
import { serveMetrics } from "../../src/lib/ops/metrics.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };

test("a server that is ready says so in the words that probes know", async () => {
  await using health = serveHealth(() => undefined, LOOPBACK);

  const response = await fetch(`http://127.0.0.1:${health.port}/healthcheck`);

  expect(response.status).toBe(200);
  expect(await response.text()).toBe('{"status": "ok"}');
});

test("a server that is not ready says why, and is alive all the same", async () => {
  await using health = serveHealth(() => 'the broker "a" is away', LOOPBACK);

  const check = await fetch(`http://127.0.0.1:${health.port}/healthcheck`);
  const alive = await fetch(`http://127.0.0.1:${health.port}/livez`);

  expect(check.status).toBe(503);
  expect(await check.text())
    .toBe(String.raw`{"status": "not ready", "reason": "the broker \"a\" is away"}`);
  expect(alive.status).toBe(200);
  expect(await alive.text()).toBe('{"status": "ok"}');
});

test("a probe with another path or method is refused", async () => {
  await using health = serveHealth(() => undefined, LOOPBACK);

  const path = await fetch(`http://127.0.0.1:${health.port}/healthcheck/down`);
  const method = await fetch(`http://127.0.0.1:${health.port}/livez`, { method: "POST" });

  expect([path.status, method.status]).toEqual([404, 405]);
});

test("metrics are served as Prometheus text, each server its own", async () => {
  const [mine, other] = [createMetrics(), createMetrics()];
  mine.restRequests.inc({ method: "GET", path: "/api/maestro/v1/consumers/-", code: "200" });
  await using server = serveMetrics(mine, LOOPBACK);

  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);

  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  expect(await response.text()).toContain(
    'rest_api_inbound_request_count{method="GET",path="/api/maestro/v1/consumers/-",code="200"} 1',
  );
  expect(await other.registry.metrics()).not.toContain('code="200"');
});
