/** Classes of characters that regular expressions name. */

type CharTest = (point: number) => boolean;

const between = (low: string, high: string): CharTest => {
  const [from, to] = [low.codePointAt(0) ?? 0, high.codePointAt(0) ?? 0];
  return (point) => point >= from && point <= to;
};
const anyOf = (...tests: CharTest[]): CharTest => (point) => tests.some((test) => test(point));
const oneOf = (chars: string): CharTest => (point) => chars.includes(String.fromCodePoint(point));

const digit = between("0", "9");
const upper = between("A", "Z");
const lower = between("a", "z");
const word = anyOf(digit, upper, lower, oneOf("_"));

const BY_NAME: Record<string, CharTest> = {
  alnum: anyOf(digit, upper, lower),
  alpha: anyOf(upper, lower),
  ascii: (point) => point < 128,
  blank: oneOf("\t "),
  cntrl: (point) => point < 32 || point === 127,
  digit,
  graph: between("!", "~"),
  lower,
  print: between(" ", "~"),
  punct: anyOf(between("!", "/"), between(":", "@"), between("[", "`"), between("{", "~")),
  space: oneOf("\t\n\v\f\r "),
  upper,
  word,
  xdigit: anyOf(digit, between("A", "F"), between("a", "f")),
};

const PERL: Record<string, CharTest> = { d: digit, s: oneOf("\t\n\f\r "), w: word };

/** A POSIX class such as `alpha`. */
export function classByName(name: string): CharTest | undefined {
  return BY_NAME[name];
}

/** The class of `\d`, `\S` and the like. */
export function perlClass(letter: string): CharTest | undefined {
  const test = PERL[letter];
  if (test !== undefined) return test;
  const opposite = PERL[letter.toLowerCase()];
  return opposite === undefined ? undefined : (point) => !opposite(point);
}

/** A general category or a script; the engine knows their characters. */
export function unicodeClass(name: string): CharTest | undefined {
  if (name === "Any") return () => true;
  for (const property of [name, `Script=${name}`]) {
    try {
      const one = new RegExp(`^\\p{${property}}$`, "u");
      return (point) => one.test(String.fromCodePoint(point));
    } catch {
      // Not of this kind.
    }
  }
  return undefined;
}

/** True for the characters between which `\b` is found. */
export function isWordPoint(point: number | undefined): boolean {
  return point !== undefined && word(point);
}
