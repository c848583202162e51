/** Whether a consumer's agent is there, as far as anybody can know: from when it was last heard of. */

/** An agent that was heard of so recently counts as connected. Pulses are written every minute. */
export const CONNECTED_SECONDS = 150;

/** True if the agent was heard of lately. `silentSeconds` is null for one that never was. */
export function isConnected(silentSeconds: number | null): boolean {
  return silentSeconds !== null && silentSeconds <= CONNECTED_SECONDS;
}

/** For messages: `connected`, `last seen 3 h ago`, `never seen`. */
export function describeConnection(silentSeconds: number | null): string {
  if (silentSeconds === null) return "never seen";
  return isConnected(silentSeconds) ? "connected" : `last seen ${describeAge(silentSeconds)} ago`;
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60]] as const;

/** An age in its largest unit, rounded down: `3 h`. */
function describeAge(seconds: number): string {
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}
