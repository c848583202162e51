/** Times as the peers write them: RFC 3339 in UTC, up to nanoseconds, trailing zeros trimmed. */

/** The canonical form of an RFC 3339 time; no digit of its fraction is lost. */
export function canonicalTime(text: string): string {
  const fraction = (/\.(\d+)/.exec(text)?.[1] ?? "").slice(0, 9).replace(/0+$/, "");
  const whole = new Date(Math.floor(Date.parse(text) / 1000) * 1000).toISOString().slice(0, 19);
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
