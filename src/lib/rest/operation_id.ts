/** The id that ties an answer, its log lines and its error together: 27 characters, ordered by time. */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH = 27;
/** KSUIDs count seconds from here, 2014-05-13. */
const EPOCH_SECONDS = 1_400_000_000;

/** Makes a KSUID: 32 bits of time, 128 of chance, in base 62. */
export function createOperationId(nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000) - EPOCH_SECONDS;
  const chance = crypto.getRandomValues(new Uint8Array(16)).toHex();
  let number = BigInt(`0x${seconds.toString(16)}${chance}`);
  let text = "";
  for (; number > 0n; number /= 62n) text = DIGITS.charAt(Number(number % 62n)) + text;
  return text.padStart(LENGTH, "0");
}

/** True for an id that a client may choose: it goes into headers and logs. */
export function isOperationId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text);
}
