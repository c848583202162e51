/** Notices that a connection has gone silent. */

export interface HealthTimer {
  /** Something came, be it a heartbeat or not. */
  heard(kind: "heartbeat" | "other"): void;
  stop(): void;
}

export interface HealthOptions {
  timeoutMs: number;
  /** Servers before 2025-09 have no heartbeats, and others may be told to send none: ask for them only if sure. */
  isHeartbeatRequired: boolean;
  expired: () => void;
}

/**
 * Calls `expired` when nothing came for so long: at first anything at all, then heartbeats, of which the first makes them
 * required. Anything else counts as one, for it says the same.
 */
export function startHealthTimer(options: HealthOptions): HealthTimer {
  let { isHeartbeatRequired } = options;
  const start = () => setTimeout(options.expired, options.timeoutMs);
  let timer: Timer | undefined = start();
  return {
    heard(kind) {
      clearTimeout(timer);
      if (kind === "heartbeat") isHeartbeatRequired = true;
      timer = isHeartbeatRequired ? start() : undefined;
    },
    stop: () => clearTimeout(timer),
  };
}
