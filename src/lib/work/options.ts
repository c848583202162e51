/** Which options of a work concern one manifest. */

import type {
  ConditionRule,
  DeleteOption,
  FeedbackRule,
  ManifestConfig,
  ResourceIdentifier,
  UpdateStrategy,
} from "../wire/work_spec.ts";
import type { ResourceMeta } from "../wire/work_status.ts";

/** What tells one object of a work from another. */
type Place = Pick<ResourceMeta, "group" | "resource" | "namespace" | "name">;

/** What a spec says of which objects are the work's own. */
export interface Ownerships {
  deleteOption?: DeleteOption;
  configs: readonly ManifestConfig[];
}

/** The options of one manifest. */
export interface ManifestOptions {
  feedbackRules: FeedbackRule[];
  conditionRules: ConditionRule[];
  updateStrategy: UpdateStrategy;
}

/**
 * The first matching entry with rules wins, and independently the first with a strategy. An entry without an
 * identifier is the only manifest's own (the legacy data type).
 */
export function optionsFor(configs: readonly ManifestConfig[], meta: Place): ManifestOptions {
  const options: Partial<ManifestOptions> = {};
  for (const config of configs) {
    if (config.resourceIdentifier && !isMatch(config.resourceIdentifier, meta)) continue;
    if (config.feedbackRules?.length) options.feedbackRules ??= config.feedbackRules;
    if (config.conditionRules?.length) options.conditionRules ??= config.conditionRules;
    if (config.updateStrategy) options.updateStrategy ??= config.updateStrategy;
  }
  return {
    feedbackRules: options.feedbackRules ?? [],
    conditionRules: options.conditionRules ?? [],
    updateStrategy: options.updateStrategy ?? {},
  };
}

function isMatch(identifier: ResourceIdentifier, meta: Place): boolean {
  return (identifier.group ?? "") === meta.group && identifier.resource === meta.resource &&
    isWildcardMatch(identifier.name ?? "", meta.name) &&
    isWildcardMatch(identifier.namespace ?? "", meta.namespace);
}

/** True if `*` in the pattern, standing for any run of characters, makes it the whole text. */
export function isWildcardMatch(pattern: string, text: string): boolean {
  if (!pattern.includes("*")) return pattern === text;
  const parts = pattern.split("*");
  const last = parts.pop() ?? "";
  const first = parts.shift() ?? "";
  if (!text.startsWith(first)) return false;
  let at = first.length;
  // Leftmost matches are enough for every part but the last, which is anchored.
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** True if this object is not the work's own: it stays when its manifest or the work goes. */
export function isOrphan(
  deleteOption: DeleteOption | undefined,
  meta: Place,
  { updateStrategy }: ManifestOptions,
): boolean {
  return !isOwned(deleteOption, meta) || updateStrategy.type === "ReadOnly";
}

/** True if deleting the work deletes this object. */
export function isOwned(option: DeleteOption | undefined, meta: Place): boolean {
  const policy = option?.propagationPolicy ?? "";
  if (policy === "Orphan") return false;
  if (policy !== "SelectivelyOrphan" && policy !== "") return true;
  return !option?.selectivelyOrphans?.orphaningRules?.some((rule) =>
    (rule.group ?? "") === meta.group && rule.resource === meta.resource &&
    rule.name === meta.name && (rule.namespace ?? "") === meta.namespace
  );
}
