/** Whether a Kubernetes API answers, as the calls to it show. */

import type { Kube, KubeCall } from "../work/kube_api.ts";

export interface Contact {
  /** Takes how a call ended. */
  observe(call: KubeCall): void;
  /** Why the API cannot be reached; undefined if it can. Asks it when nothing was heard of it for some time. */
  problem(kube: Kube): Promise<string | undefined>;
  /** How long ago a call ended, in milliseconds. */
  quietMs(): number;
}

/** An answer that is no older says enough. */
const FRESH_MS = 60_000;
/** Whoever asks is a probe that waits a few seconds at most. */
const ASK_TIMEOUT_MS = 3_000;

/** Creates the contact of one API. It counts as reached until a call has ended otherwise. */
export function createContact(elapsedMs: () => number): Contact {
  let endedAt = elapsedMs();
  let answeredAt = -Infinity;
  let failure: string | undefined;
  let asking: Promise<unknown> | undefined;

  return {
    observe({ code, failure: found }) {
      endedAt = elapsedMs();
      // Whoever stops a call says nothing about the API.
      if (found?.reason === "Aborted") return;
      failure = code === 0 ? found?.message ?? "no answer" : undefined;
      if (code !== 0) answeredAt = endedAt;
    },
    async problem(kube) {
      if (failure === undefined && elapsedMs() - answeredAt < FRESH_MS) return undefined;
      // Any answer will do, a refusal as well; how it ended comes in by `observe`.
      asking ??= kube.get(VERSION_PROBE).catch(() => {}).finally(() => asking = undefined);
      const answered = asking.then(() => true);
      const isInTime = await Promise.race([answered, Bun.sleep(ASK_TIMEOUT_MS).then(() => false)]);
      return isInTime ? failure : failure ?? "Kubernetes does not answer";
    },
    quietMs: () => elapsedMs() - endedAt,
  };
}

/** The smallest object that everybody may ask for: whether it is there does not matter. */
const VERSION_PROBE = {
  type: {
    group: "",
    version: "v1",
    kind: "Namespace",
    resource: "namespaces",
    isNamespaced: false,
  },
  namespace: "",
  name: "default",
};
