/** The one error class that Maestro throws on purpose, and its closed list of codes. */

/** What went wrong, as a flow says it. Only `rest/` and `grpc/` know what a protocol calls it. */
export type ErrorCode =
  | "invalid_argument"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "conflict"
  | "gone"
  | "too_large"
  | "resource_exhausted"
  | "unavailable"
  | "internal";

/** The numbers that peers know from `maestro-<n>` in REST bodies and gRPC messages. */
const PEER_NUMBER: Record<ErrorCode, number> = {
  invalid_argument: 8,
  unauthenticated: 15,
  permission_denied: 4,
  not_found: 7,
  conflict: 6,
  gone: 7,
  too_large: 8,
  resource_exhausted: 9,
  unavailable: 9,
  internal: 9,
};

/** An expected failure. Its message goes to the caller, its cause only to the log. */
export class MaestroError extends Error {
  override readonly name = "MaestroError";
  /** The number that peers see; a door may set one that says more than the code does. */
  readonly peerNumber: number;
  /** What is stored in place of the version that the caller has seen; 0 if nothing is. */
  readonly latestVersion: number | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown; peerNumber?: number; latestVersion?: number },
  ) {
    super(message, options);
    this.peerNumber = options?.peerNumber ?? PEER_NUMBER[code];
    this.latestVersion = options?.latestVersion;
  }
}

/** True for an outage, or too much at once: the same may succeed later. */
export function maySucceedLater(error: unknown): boolean {
  return error instanceof MaestroError &&
    (error.code === "unavailable" || error.code === "resource_exhausted");
}

/** The text of anything that was thrown, for a log line or a condition's message. */
export function describeError(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
