/** Label and field selectors, for a simulated cluster: a real one does this itself. */

import { isObject, type JsonObject } from "../json.ts";
import { KubeError, type ListOptions } from "../work/kube_api.ts";

export type Matches = (object: JsonObject) => boolean;

type Labels = Readonly<Record<string, unknown>>;

/** The objects that a list or a watch asks for. Throws a `KubeError` (400) for what no API server understands. */
export function matcherOf(options: ListOptions): Matches {
  const labelsMatch = splitTerms(options.labelSelector ?? "").map(parseLabelTerm);
  const fieldsMatch = splitTerms(options.fieldSelector ?? "").map(parseFieldTerm);
  return (object) => {
    const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
    const labels = isObject(metadata["labels"]) ? metadata["labels"] : {};
    return labelsMatch.every((matches) => matches(labels)) &&
      fieldsMatch.every((matches) => matches(metadata));
  };
}

/** Splits at the commas, except those within the brackets of `in (a,b)`. */
function splitTerms(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/).map((term) => term.trim()).filter((term) => term !== "");
}

function parseLabelTerm(term: string): (labels: Labels) => boolean {
  const [, setKey, verb, list = ""] = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(term) ?? [];
  if (setKey !== undefined) {
    const values = list.split(",").map((value) => value.trim());
    return (labels) => values.includes(String(labels[setKey])) === (verb === "in");
  }
  const [, key, operator, value] = /^([^=!\s]+)\s*(==?|!=)\s*([^=!\s]*)$/.exec(term) ?? [];
  if (key !== undefined) return (labels) => (labels[key] === value) === (operator !== "!=");
  const [, not, bare] = /^(!?)\s*([^=!\s()]+)$/.exec(term) ?? [];
  if (bare !== undefined) return (labels) => (labels[bare] !== undefined) === (not === "");
  throw notUnderstood("label", term);
}

function parseFieldTerm(term: string): (metadata: JsonObject) => boolean {
  const [, key = "", operator, value] = /^metadata\.(name|namespace)(==?|!=)(.*)$/.exec(term) ?? [];
  if (key === "") throw notUnderstood("field", term);
  return (metadata) => (metadata[key] === value) === (operator !== "!=");
}

function notUnderstood(what: string, term: string): KubeError {
  return new KubeError(
    400,
    "BadRequest",
    `Cannot select by ${what} "${term}": it is not supported`,
  );
}
