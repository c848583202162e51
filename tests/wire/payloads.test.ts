/** Payloads: what peers write is read however they spell it, and what nobody should write is refused. */

import { expect, test } from "bun:test";
import { readSpecChange } from "../../src/lib/spec/change.ts";
import { readReport } from "../../src/lib/status/accept.ts";
import { EXT, MANIFEST_BUNDLES, MANIFESTS } from "../../src/lib/wire/event.ts";
import { parseEventType } from "../../src/lib/wire/event_type.ts";
import { decodeBatch, decodeHttpBinary } from "../../src/lib/wire/http.ts";
import { decodeMqtt, encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { decodeEvent, encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { parseSpec, peersBundleText, toSingleSpec } from "../../src/lib/wire/read_spec.ts";
import { decodeSpecResync, decodeStatusResync } from "../../src/lib/wire/resync.ts";
import { legacyStatusHash, statusHash } from "../../src/lib/wire/status_hash.ts";
import { decodeStructured, encodeStructured } from "../../src/lib/wire/structured.ts";
import { isDeleted, parseStatus } from "../../src/lib/wire/work_status.ts";
import { vector } from "../harness/golden.ts";
import { refusal, refusals, seeded } from "./refusals.ts";

const EVENT = vector("V1");
const STRUCTURED = encodeStructured(EVENT);
const MQTT = encodeMqtt(EVENT);

test("keys of a spec count in any case, and of several the last one", () => {
  const text = '{"Manifests":[{"Kind":"Old"}],"MANIFESTS":[{"Kind":"New"}],' +
    '"deleteoption":{"PropagationPolicy":"Orphan"},"manifestCONFIGS":[{"ResourceIdentifier":' +
    '{"Group":"","RESOURCE":"configmaps"},"UpdateStrategy":{"serversideapply":{"FORCE":true}}}]}';

  expect(parseSpec(MANIFEST_BUNDLES, text)).toEqual({
    // What is inside a manifest is Kubernetes' own, where the case counts.
    manifests: [{ Kind: "New" }],
    deleteOption: { propagationPolicy: "Orphan" },
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps" } as never,
      updateStrategy: { serverSideApply: { force: true } },
    }],
  });
});

test("keys of a status and of resync lists count in any case", () => {
  const status = '{"Conditions":[{"TYPE":"Deleted","Status":"True"}],"RESOURCESTATUS":[]}';

  expect(isDeleted(parseStatus(status))).toBeTrue();
  expect(decodeSpecResync('{"ResourceVersions":[{"resourceid":"a","RESOURCEVERSION":3}]}'))
    .toEqual([{ resourceId: "a", version: 3 }]);
  expect(decodeStatusResync('{"statushashes":[{"ResourceId":"a","StatusHash":"b"}]}'))
    .toEqual([{ resourceId: "a", hash: "b" }]);
});

test("null is the same as nothing, at every level", () => {
  const bundle = '{"manifests":null,"deleteOption":null,"manifestConfigs":null,"executer":null}';

  expect(parseSpec(MANIFEST_BUNDLES, bundle).manifests).toEqual([]);
  expect(parseSpec(MANIFESTS, '{"manifest":null,"configOption":null}').manifests).toEqual([]);
  expect(statusHash(parseStatus('{"conditions":null,"resourceStatus":null}')))
    .toBe(statusHash(parseStatus("{}")));
  for (const list of ['{"resourceVersions":null}', "{}", '{"resourceVersions":[]}']) {
    expect(decodeSpecResync(list)).toEqual([]);
  }
  for (const list of ['{"statusHashes":null}', "{}", '{"statusHashes":[]}']) {
    expect(decodeStatusResync(list)).toEqual([]);
  }
});

test("a resync request without a body is refused, as is an entry without its id", () => {
  for (const decode of [decodeSpecResync, decodeStatusResync]) {
    expect(refusal(() => decode(undefined))).toContain("it has no data");
    expect(refusal(() => decode(""))).toContain("it has no data");
  }
  expect(refusal(() => decodeSpecResync('{"resourceVersions":[{"resourceVersion":1}]}')))
    .toContain("an entry of resourceVersions has no resourceID");
  expect(decodeSpecResync('{"resourceVersions":[{"resourceID":"a"}]}'))
    .toEqual([{ resourceId: "a", version: 0 }]);
});

test("an executor is read under either spelling, and leaves under the one that peers know", () => {
  const executor =
    '{"subject":{"type":"ServiceAccount","serviceAccount":{"namespace":"n","name":"s"}}}';
  const right = `{"manifests":[{"n":9007199254740993}],"executor":${executor}}`;
  const theirs = `{ "manifests":[{"n":9007199254740993}],"executer":${executor}}`;

  const [spec, same] = [parseSpec(MANIFEST_BUNDLES, right), parseSpec(MANIFEST_BUNDLES, theirs)];

  expect(spec).toEqual(same);
  expect(peersBundleText(right, spec)).toBe(theirs.replace("{ ", "{"));
  // What they know already stays as it is, byte for byte.
  expect(peersBundleText(theirs, same)).toBe(theirs);
});

test("a single manifest becomes a bundle of one, and the same again", () => {
  const text = vector("V17").data ?? "";

  expect(JSON.stringify(toSingleSpec(parseSpec(MANIFESTS, text)))).toEqual(text);
});

test("documents that are nested without end are refused everywhere", () => {
  for (const depth of [510, 5_000, 200_000]) {
    const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const wrapped = (key: string) => `{"${key}":${deep}}`;

    const messages = refusals([
      () => decodeStructured(STRUCTURED.replace('"data":{', `"data":{"x":${deep},`)),
      () => decodeBatch(deep, { max: 10 }),
      () => parseSpec(MANIFEST_BUNDLES, wrapped("manifests")),
      () => parseSpec(MANIFESTS, wrapped("manifest")),
      () => parseStatus(wrapped("conditions")),
      () => decodeSpecResync(wrapped("resourceVersions")),
      () => decodeStatusResync(wrapped("statusHashes")),
    ]);

    for (const message of messages) expect(message).toMatch(/nested deeper|it is not JSON/);
  }
});

test("random changes of JSON documents end as documents or refusals", () => {
  const random = seeded(2026);
  const documents = [
    STRUCTURED,
    vector("V3").data ?? "",
    vector("V10").data ?? "",
    EVENT.data ?? "",
  ];
  const pieces = ["{", "}", "[", "]", '"', ",", ":", "null", "1e999", "-", "\\u0000", "true", "\\"];
  for (let round = 0; round < 3_000; round++) {
    const document = documents[round % documents.length] ?? "";
    const at = random(document.length);
    const piece = pieces[random(pieces.length)] ?? "";
    const text = document.slice(0, at) + piece + document.slice(at + random(4));

    refusals([
      () => decodeStructured(text),
      () => decodeBatch(`[${text}]`, { max: 10 }),
      () => parseSpec(MANIFEST_BUNDLES, text),
      () => parseSpec(MANIFESTS, text),
      () => [statusHash(parseStatus(text)), legacyStatusHash(parseStatus(text))],
      () => decodeSpecResync(text),
      () => decodeStatusResync(text),
    ]);
  }
});

test("payloads whose members are of odd kinds are read or refused with the member's path", () => {
  const texts = [vector("V1").data, vector("V3").data, vector("V17").data, vector("V18").data];
  let refused = 0;
  for (const text of texts) {
    for (const changed of changedMembers(JSON.parse(text ?? ""))) {
      const messages = refusals([
        () => parseSpec(MANIFEST_BUNDLES, changed),
        () => parseSpec(MANIFESTS, changed),
        () => statusHash(parseStatus(changed)),
        () => legacyStatusHash(parseStatus(changed)),
      ]);
      for (const message of messages) if (message !== undefined) refused++;
      for (const message of messages) {
        if (message) expect(message).toMatch(/^Cannot read the .*: .* must be /);
      }
    }
  }

  expect(refused).toBeGreaterThan(200);
  expect(refusal(() => parseSpec(MANIFEST_BUNDLES, '{"manifests":[{},7]}')))
    .toBe("Cannot read the manifest bundle: manifests must be a list of objects (entry 1 is none)");
  expect(
    refusal(() =>
      parseSpec(MANIFESTS, '{"configOption":{"feedbackRules":[{"jsonPaths":[{"path":1}]}]}}')
    ),
  ).toBe(
    "Cannot read the manifest: configOption.feedbackRules[0].jsonPaths[0].path must be a string",
  );
});

/** The document with each of its members replaced by each of a few odd values, or left out. */
function* changedMembers(document: unknown, whole: unknown = document): Generator<string> {
  if (typeof document !== "object" || document === null) return;
  const members = document as Record<string, unknown>;
  for (const key of Object.keys(members)) {
    const before = members[key];
    for (const odd of [undefined, null, 1, true, "x", {}, [], [null], [{}]]) {
      members[key] = odd;
      yield JSON.stringify(whole);
    }
    members[key] = before;
    yield* changedMembers(before, whole);
  }
}

test("numbers keep their digits wherever they are, and none of them is a version that peers cannot hold", () => {
  const data = '{"manifests":[{"n":9007199254740993,"d":1.0,"e":1e400,"z":-0}]}';
  const event = { ...EVENT, data };

  for (const decoded of [decodeMqtt(encodeMqtt(event)), decodeEvent(encodeEvent(event))]) {
    expect(decoded.data).toBe(data);
  }
  expect(decodeStructured(encodeStructured(event)).data).toBe(data);
  for (const version of ["2147483648", "1e400", "NaN", "Infinity", "0x10", "", " 1", "1_0"]) {
    const extensions = { ...EVENT.extensions, [EXT.resourceVersion]: version };
    const type = parseEventType(EVENT.type);
    expect(refusal(() => readSpecChange({ ...EVENT, extensions }, type)))
      .toContain("resourceversion extension: it must be a 32-bit integer");
  }
});

test("a version is a number or a decimal text, whose fraction is cut off", () => {
  const report = vector("V3");
  const versions: [string | number, number][] = [[13, 13], ["13", 13], ["13.0", 13], ["13.9", 13], [
    "-0.5",
    0,
  ]];

  for (const [version, read] of versions) {
    const extensions = { ...report.extensions, [EXT.resourceVersion]: version };
    expect(readReport({ ...report, extensions }, "maestro").version).toBe(read);
  }
  const decimal = STRUCTURED.replace('"resourceversion":0', '"resourceversion":13.0');
  expect(decodeStructured(decimal).extensions[EXT.resourceVersion]).toBe(13);
});

test("a resource id that is a number is refused, as peers do", () => {
  const event = decodeStructured(STRUCTURED.replace(/"resourceid":"[^"]*"/, '"resourceid":12'));

  expect(refusal(() => readSpecChange(event, parseEventType(event.type))))
    .toContain("failed to get resourceid extension: it must be a string");
});

test("an action that is the name of something every object has is unknown", () => {
  for (const action of ["constructor", "__proto__", "toString", "hasOwnProperty", "foo_request"]) {
    const type = parseEventType(`${MANIFEST_BUNDLES}.spec.${action}`);

    expect(refusal(() => readSpecChange(EVENT, type))).toBe(`unsupported action ${action}`);
  }
});

test("megabytes of what makes a careless reader slow are read at once", () => {
  // A reader that looks again and again at the same text would not be done within the test's time.
  const pieces = [
    "\\",
    "\\\\u000",
    "1.",
    ",1e",
    " ",
    '"',
    '{"a":',
    "[1,",
    '"a":1,',
    "%25",
    "\ud800",
  ];
  for (const piece of pieces) {
    const long = piece.repeat(4_000_000 / piece.length);
    const texts = [
      long,
      `{"a":"${long}"}`,
      `{"a":${long}}`,
      `{"specversion":"1.0","id":"${long}"}`,
    ];

    for (const text of texts) {
      refusals([
        () => decodeStructured(text),
        () => parseSpec(MANIFEST_BUNDLES, text),
        () => parseStatus(text),
        () => decodeMqtt({ ...MQTT, userProperties: { ...MQTT.userProperties, "ce-time": text } }),
        () => decodeHttpBinary([["ce-specversion", "1.0"], ["ce-id", text]], "{}"),
      ]);
    }
    const extensions = { ...EVENT.extensions, [EXT.resourceVersion]: long };
    refusals([() => readSpecChange({ ...EVENT, extensions }, parseEventType(EVENT.type))]);
  }
});
