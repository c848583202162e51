/** What a source is told, when it is more than its client can take at once. */

import { expect, test } from "bun:test";
import { toStatusEvent } from "../../src/lib/status/event.ts";

/** What grpc-go takes by default. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const CONDITIONS = '[{"observedGeneration":9007199254740993,"type":"Applied"}]';

/** The data of an event for a spec and feedback of so many bytes. */
function told({ specBytes, statusBytes }: { specBytes: number; statusBytes: number }) {
  const { data } = toStatusEvent({
    spec: JSON.stringify({ manifests: ["x".repeat(specBytes)] }),
    metadata: '{"name":"a"}',
    status: `{"conditions":${CONDITIONS},"resourceStatus":["${"x".repeat(statusBytes)}"]}`,
    status_event: JSON.stringify({
      specversion: "1.0",
      id: "1",
      source: "agent",
      type: "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request",
    }),
    created_at: "2026-01-02T03:04:05Z",
    deleted_at: null,
  });
  return data ?? "";
}

test.each([
  ["all of it while it fits", 100_000, 3_900_000, [
    "conditions",
    "manifestBundle",
    "resourceStatus",
  ]],
  ["without its spec", 500_000, 3_900_000, ["conditions", "resourceStatus"]],
  ["only with its conditions", 100, 5_000_000, ["conditions"]],
])("a source is told of a status %s", (_, specBytes, statusBytes, members) => {
  const data = told({ specBytes, statusBytes });

  expect(Object.keys(JSON.parse(data)).toSorted()).toEqual(members);
  expect(data.length).toBeLessThan(MESSAGE_BYTES_MAX);
  expect(data).toContain(`"conditions":${CONDITIONS}`);
});
