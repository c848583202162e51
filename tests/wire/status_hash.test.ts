/** The status hash against the vectors of real agents and of the specification. */

import { expect, test } from "bun:test";
import { parseJson } from "../../src/lib/json.ts";
import { NO_STATUS_HASH, statusHash } from "../../src/lib/wire/status_hash.ts";
import type { BundleStatus, Condition } from "../../src/lib/wire/work_status.ts";

const APPLIED: Condition = {
  type: "Applied",
  status: "True",
  observedGeneration: 2,
  lastTransitionTime: "2026-01-02T03:04:05Z",
  reason: "AppliedManifestWorkComplete",
  message: "Apply manifest work complete",
};

test("a status that says nothing has the hash that agents give it", () => {
  expect(statusHash({ conditions: null })).toBe(
    "3a4ba43801251ccdf889a3154674d23a35ab996aacfc00de92e61dbb2f5cf189",
  );
});

test("no status at all is announced by the hash of nothing", () => {
  expect(NO_STATUS_HASH).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("a confirmed deletion has the hash that agents give it", () => {
  const status: BundleStatus = {
    conditions: [{
      type: "Deleted",
      status: "True",
      lastTransitionTime: "2026-01-02T03:04:05Z",
      reason: "ManifestsDeleted",
      message: "The manifests are deleted from the cluster cluster1",
    }],
  };

  expect(statusHash(status)).toBe(
    "28639c4c14d11da765062f824120b4b17f48d63d46af7de795e890dc04e469d1",
  );
});

test("texts are escaped as Go escapes them before they are hashed", () => {
  const message = JSON.parse(
    '"a<b && c>d \\u2028 \\"q\\" \\\\ tab\\there \\u00e9 \\ud83d\\ude00 bell\\u0007 del\\u007f"',
  );
  const status: BundleStatus = {
    conditions: [{
      type: "Applied",
      status: "False",
      lastTransitionTime: "2026-01-02T03:04:05Z",
      reason: "AppliedManifestFailed",
      message,
    }],
  };

  expect(statusHash(status)).toBe(
    "1457b1ea49cc8850d58f3d531c9c9397a3f98006fefe3459603b088ec7eb18cb",
  );
});

test("feedback of every type, and an integer above 2^53, are hashed as agents do", () => {
  const text = `{"conditions":[${JSON.stringify(APPLIED)}],"resourceStatus":[{
    "resourceMeta":{"ordinal":0,"group":"","version":"v1","kind":"ConfigMap",
      "resource":"configmaps","name":"cm1","namespace":"default"},
    "statusFeedback":{"values":[
      {"name":"n","fieldValue":{"type":"Integer","integer":9007199254740993}},
      {"name":"b","fieldValue":{"type":"Boolean","boolean":false}},
      {"name":"s","fieldValue":{"type":"String","string":""}},
      {"name":"j","fieldValue":{"type":"JsonRaw","jsonRaw":"{\\"a\\":\\"<x>\\"}"}}]},
    "conditions":[{"type":"Applied","status":"True","lastTransitionTime":null,
      "reason":"AppliedManifestComplete","message":"Apply manifest complete"}]}]}`;

  expect(statusHash(parseJson(text) as BundleStatus)).toBe(
    "518db8321b6133ea067c53a8e000f9fcd0116d3df728c36e388eb2386ea70466",
  );
});
