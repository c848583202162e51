/**
 * What a manifest must have before it is accepted, wherever it comes from.
 *
 * The messages are those of Kubernetes' own validation, since peers compare and show them.
 */

import { MaestroError } from "../errors.ts";
import { canonicalJson, isObject, type JsonObject, rawNumber } from "../json.ts";
import {
  dns1035LabelErrors,
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  labelValueErrors,
  qualifiedNameErrors,
} from "../kube_names.ts";
import type { BundleSpec } from "../wire/work_spec.ts";

/** Keys and values together, as the Kubernetes API limits them. */
const ANNOTATION_BYTES_MAX = 256 * 1024;

const SHORT_NUMBER = /^[^eE]{1,100}(?:[eE][+-]?\d{1,2})?$/;

const REQUIRED = "Required value: field not set";

/** Throws `invalid_argument` if a manifest of the bundle cannot be accepted, or two are the same. */
export function validateBundle(
  spec: BundleSpec | undefined,
  { isUpdate = false }: { isUpdate?: boolean } = {},
): void {
  const noun = `the ${isUpdate ? "new " : ""}manifest bundle in the resource`;
  if (spec === undefined) throw invalid(noun, ["manifest bundle is empty"]);
  const errors: string[] = [];
  const seen = new Set<string>();
  for (const manifest of spec.manifests) {
    const faults = validateManifest(manifest);
    errors.push(...faults);
    if (faults.length > 0) continue;
    const duplicate = describeIdentity(manifest);
    if (seen.has(duplicate)) errors.push(`duplicate manifest for ${duplicate}`);
    seen.add(duplicate);
  }
  if (errors.length > 0) throw invalid(noun, errors);
}

/**
 * What is wrong with the manifests of a bundle, each message with the place of its manifest, for those who wrote them
 * by hand.
 */
export function bundleErrors({ manifests }: BundleSpec): string[] {
  const seen = new Map<string, number>();
  return manifests.flatMap((manifest, index) => {
    const faults = validateManifest(manifest).map((fault) => `manifests[${index}].${fault}`);
    if (faults.length > 0) return faults;
    const identity = describeIdentity(manifest);
    const first = seen.get(identity);
    if (first === undefined) seen.set(identity, index);
    return first === undefined ? [] : [
      `manifests[${index}]: duplicate manifest for ${identity}, which is manifests[${first}]`,
    ];
  });
}

/** What is wrong with the metadata of a bundle, by which it is searched. */
export function bundleMetadataErrors(metadata: JsonObject): string[] {
  const { labels, annotations } = metadata;
  const tooLong = longNumberError("metadata", metadata);
  return [...labelErrors(labels), ...annotationErrors(annotations), ...tooLong ? [tooLong] : []];
}

/**
 * Says where a number is that PostgreSQL writes out in too many digits, if there is one: metadata is kept as jsonb, of which
 * every reading would make 131,072 digits of `1e131071`, and which cannot keep larger ones.
 */
export function longNumberError(path: string, value: unknown): string | undefined {
  const digits = typeof value === "number" ? String(value) : rawNumber(value);
  if (digits !== undefined) {
    const expected = "must have at most 100 digits, and an exponent of two";
    return SHORT_NUMBER.test(digits) ? undefined : invalidValue(path, value, expected);
  }
  const members = Array.isArray(value) || isObject(value) ? Object.entries(value) : [];
  for (const [key, member] of members) {
    const error = longNumberError(`${path}.${key}`, member);
    if (error !== undefined) return error;
  }
  return undefined;
}

/** The same for a manifest that came by itself. */
export function validateSingle(
  manifest: JsonObject | undefined,
  { isUpdate = false }: { isUpdate?: boolean } = {},
): void {
  const noun = `the ${isUpdate ? "new " : ""}manifest in the resource`;
  refuse(noun, manifest === undefined ? ["manifest is empty"] : validateManifest(manifest));
}

/** Throws `invalid_argument` if a name that a client chose for its resource is no DNS-1123 label. */
export function validateResourceName(name: string): void {
  const errors = dns1123LabelErrors(name).map((error) =>
    invalidValue("resource.name", name, error)
  );
  if (errors.length > 0) throw invalid("the name in the resource", errors);
}

/** What is wrong with a manifest, as the messages of Kubernetes; empty if nothing is. */
export function validateManifest(manifest: JsonObject): string[] {
  const errors = [...apiVersionErrors(manifest["apiVersion"])];
  if (isAbsent(manifest["kind"])) errors.push(`kind: ${REQUIRED}`);
  else if (typeof manifest["kind"] !== "string") errors.push(notText("kind", manifest["kind"]));
  const metadata = manifest["metadata"];
  if (isObject(metadata)) errors.push(...metadataErrors(metadata));
  else if (isAbsent(metadata)) errors.push(`metadata.name: ${REQUIRED}`);
  else errors.push(invalidValue("metadata", metadata, "must be an object"));
  return errors;
}

/** What a manifest changes of the object it names, which an update must not. */
export function immutabilityErrors(manifest: JsonObject, stored: JsonObject): string[] {
  return ["apiVersion", "kind", "metadata.name", "metadata.namespace"].flatMap((path) => {
    const value = textAt(manifest, path);
    return value === textAt(stored, path) ? [] : [invalidValue(path, value, "field is immutable")];
  });
}

/** Throws `invalid_argument` with these messages: one as it is, several in brackets. */
export function refuse(noun: string, errors: string[]): void {
  if (errors.length > 0) throw invalid(noun, errors);
}

function apiVersionErrors(value: unknown): string[] {
  if (isAbsent(value)) return [`apiVersion: ${REQUIRED}`];
  if (typeof value !== "string") return [notText("apiVersion", value)];
  const parts = value.split("/");
  if (parts.length > 2) return [invalidValue("apiVersion", value, "bad format")];
  const version = parts.pop() ?? "";
  const [group] = parts;
  const reasons: string[] = [];
  if (group === "") reasons.push("group not set");
  else if (group !== undefined) reasons.push(...dns1123SubdomainErrors(group));
  if (version === "") reasons.push("version not set");
  else reasons.push(...dns1035LabelErrors(version));
  return reasons.map((reason) => invalidValue("apiVersion", value, reason));
}

function metadataErrors(metadata: JsonObject): string[] {
  const errors: string[] = [];
  const { name, namespace, annotations, labels, finalizers } = metadata;
  if (isAbsent(name)) errors.push(`metadata.name: ${REQUIRED}`);
  else if (typeof name !== "string") errors.push(notText("metadata.name", name));
  if (typeof namespace === "string" && namespace !== "") {
    errors.push(
      ...dns1123LabelErrors(namespace).map((reason) =>
        invalidValue("metadata.namespace", namespace, reason)
      ),
    );
  } else if (!isAbsent(namespace)) errors.push(notText("metadata.namespace", namespace));
  for (const key of ["generateName", "resourceVersion", "deletionGracePeriodSeconds"]) {
    if (!isAbsent(metadata[key])) errors.push(`metadata.${key}: Forbidden: field cannot be set`);
  }
  errors.push(...labelErrors(labels), ...annotationErrors(annotations));
  errors.push(...finalizerErrors(finalizers));
  return errors;
}

function labelErrors(labels: unknown): string[] {
  return mapErrors("metadata.labels", labels, (key, value) => [
    ...qualifiedNameErrors(key).map((reason) => invalidValue("metadata.labels", key, reason)),
    ...labelValueErrors(value).map((reason) => invalidValue("metadata.labels", value, reason)),
  ]);
}

function annotationErrors(annotations: unknown): string[] {
  let bytes = 0;
  const errors = mapErrors("metadata.annotations", annotations, (key, value) => {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    // Kubernetes checks the key in lower case, so a prefix may have capitals here.
    return qualifiedNameErrors(key.toLowerCase()).map((reason) =>
      invalidValue("metadata.annotations", key, reason)
    );
  });
  if (bytes > ANNOTATION_BYTES_MAX) {
    errors.push(
      `metadata.annotations: Too long: may not be more than ${ANNOTATION_BYTES_MAX} bytes`,
    );
  }
  return errors;
}

function finalizerErrors(finalizers: unknown): string[] {
  if (isAbsent(finalizers)) return [];
  if (!Array.isArray(finalizers)) {
    return [invalidValue("metadata.finalizers", finalizers, "must be a list")];
  }
  return finalizers.flatMap((finalizer: unknown) =>
    typeof finalizer === "string"
      ? qualifiedNameErrors(finalizer).map((reason) =>
        invalidValue("metadata.finalizers", finalizer, reason)
      )
      : [notText("metadata.finalizers", finalizer)]
  );
}

function mapErrors(
  path: string,
  map: unknown,
  check: (key: string, value: string) => string[],
): string[] {
  if (isAbsent(map)) return [];
  if (!isObject(map)) return [invalidValue(path, map, "must be an object")];
  const errors: string[] = [];
  for (const key of Object.keys(map)) {
    const value = map[key];
    if (typeof value !== "string") errors.push(notText(`${path}.${key}`, value));
    else errors.push(...check(key, value));
  }
  return errors;
}

function textAt(manifest: JsonObject, path: string): unknown {
  let value: unknown = manifest;
  for (const key of path.split(".")) value = isObject(value) ? value[key] : undefined;
  return value ?? "";
}

function describeIdentity({ apiVersion, kind, metadata }: JsonObject): string {
  const { namespace, name } = isObject(metadata) ? metadata : {};
  return `resource ${namespace ?? ""}/${name ?? ""} with resource type ${apiVersion}.${kind}`;
}

// Go reads an absent text, null and "" as the same.
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

function notText(path: string, value: unknown): string {
  return invalidValue(path, value, "must be a string");
}

function invalidValue(path: string, value: unknown, reason: string): string {
  const shown = canonicalJson(value);
  const short = shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
  return `${path}: Invalid value: ${short}: ${reason}`;
}

function invalid(noun: string, errors: string[]): MaestroError {
  const unique = [...new Set(errors)];
  const list = unique.length === 1 ? unique[0] : `[${unique.join(", ")}]`;
  return new MaestroError("invalid_argument", `${noun} is invalid, ${list}`);
}
