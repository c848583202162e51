/** What sources were promised, kept from the answers to their calls alone. */

/** How a call ended. Without an answer the change may have happened, or may happen yet. */
export type Outcome = "ok" | "refused" | "unknown";

/** What may be stored for a resource in the end. */
export interface Wanted {
  /** The name of the resource, which is its id unless it came over REST. */
  name: string;
  /** Undefined until REST has told. */
  id: string | undefined;
  source: "grpc" | "rest";
  agent: number;
  /** The tokens of the contents that may be the last; each token is used once, and they grow. */
  tokens: number[];
  /** How many ConfigMaps each token's content has. */
  counts: Map<number, number>;
  isAlive: "yes" | "no" | "maybe";
  /** A create is on its way: its source asks for the status already, as nobody may tell it how the create ended. */
  isAsked: boolean;
  /** A call without an answer was about it: it is not used for another life. */
  isTainted: boolean;
  wasDeleteAsked: boolean;
  /** The last call was a deletion without an answer, which may be tried again. */
  isDeletionOpen: boolean;
  /** What was asked and answered, in words. */
  history: string[];
}

export interface Model {
  resources: Map<string, Wanted>;
  violations: string[];
  calls: Record<Outcome, number>;
}

/** Nothing was asked yet. */
export function createModel(): Model {
  return { resources: new Map(), violations: [], calls: { ok: 0, refused: 0, unknown: 0 } };
}

/** Notes the answer to a create or an update with this content. */
export function noteContent(wanted: Wanted, token: number, outcome: Outcome): void {
  if (outcome !== "refused") wanted.isDeletionOpen = false;
  if (outcome === "ok") {
    wanted.tokens = [token];
    wanted.isAlive = "yes";
  } else if (outcome === "unknown") {
    wanted.tokens.push(token);
    wanted.isTainted = true;
    if (wanted.isAlive === "no") wanted.isAlive = "maybe";
  }
}

/** Notes the answer to a deletion. */
export function noteDeletion(wanted: Wanted, outcome: Outcome): void {
  wanted.wasDeleteAsked = true;
  if (outcome !== "refused") wanted.isDeletionOpen = outcome === "unknown";
  if (outcome === "unknown") wanted.isTainted = true;
  if (outcome === "ok") wanted.isAlive = "no";
  else if (outcome === "unknown" && wanted.isAlive === "yes") wanted.isAlive = "maybe";
}
