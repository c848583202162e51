/** How often certificate files are read again, which the server and the agent are both asked. */

import { duration, environmentName, type FlagTable, positive } from "./flags.ts";

export const CERTIFICATE_FLAGS = {
  "certificate-refresh-interval": positive(
    duration("5m", "how often certificate files are looked at for a change"),
  ),
} satisfies FlagTable;

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment with the Go programs' name for that setting. Our own wins. */
export function withPeersNames(env: Environment): Environment {
  const interval = env["CERT_CALLBACK_REFRESH_DURATION"];
  if (interval === undefined) return env;
  return { [environmentName("certificate-refresh-interval")]: interval, ...env };
}
