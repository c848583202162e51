/** Kubernetes' named formats: `format.dns1123Label().validate(x)`. */

import { func, method, type Overload } from "./functions.ts";
import { parseTimestamp } from "./instants.ts";
import { type Opaque, Optional, type Value } from "./values.ts";

class Format implements Opaque {
  readonly typeName = "kubernetes.NamedFormat";

  constructor(readonly name: string, readonly problems: (text: string) => string[]) {}

  isEqual(other: unknown): boolean {
    return other instanceof Format && other.name === this.name;
  }
}

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_PROBLEM =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start " +
  "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is " +
  `'${LABEL}')`;
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const SUBDOMAIN_PROBLEM =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " +
  "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  `'${SUBDOMAIN}')`;
const LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035_PROBLEM =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic " +
  "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for " +
  `validation is '${LABEL_1035}')`;
const VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const VALUE_PROBLEM =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must " +
  "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used " +
  `for validation is '${VALUE}')`;
const NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_PROBLEM =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
  "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
  `'${NAME}')`;

function byPattern(pattern: string, problem: string, lengthMax: number) {
  const whole = new RegExp(`^(?:${pattern})$`);
  return (text: string) => [
    ...(text.length > lengthMax ? [`must be no more than ${lengthMax} characters`] : []),
    // A text that is much too long is not worth the search.
    ...(text.length > 10 * lengthMax || !whole.test(text) ? [problem] : []),
  ];
}

const label = byPattern(LABEL, LABEL_PROBLEM, 63);
const subdomain = byPattern(SUBDOMAIN, SUBDOMAIN_PROBLEM, 253);
const label1035 = byPattern(LABEL_1035, LABEL_1035_PROBLEM, 63);
const name = byPattern(NAME, NAME_PROBLEM, 63);

function qualifiedName(text: string): string[] {
  const parts = text.split("/");
  const [first = "", second] = parts;
  if (parts.length > 2 || text === "") {
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end " +
      "with an alphanumeric character, with an optional DNS subdomain prefix and '/'",
    ];
  }
  if (second === undefined) return name(first);
  return [...subdomain(first).map((problem) => `prefix part ${problem}`), ...name(second)];
}

/** A name that the API server will make longer may end in a dash. */
const prefixed = (test: (text: string) => string[]) => (text: string) =>
  test(text.endsWith("-") ? `${text.slice(0, -1)}a` : text);

function unless(test: (text: string) => boolean, problem: string) {
  return (text: string) => test(text) ? [] : [problem];
}

function isDate(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && isDateTime(`${text}T00:00:00Z`);
}

function isDateTime(text: string): boolean {
  try {
    return parseTimestamp(text) !== undefined;
  } catch {
    return false;
  }
}

const UUID = /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const FORMATS: readonly Format[] = [
  new Format("dns1123Label", label),
  new Format("dns1123Subdomain", subdomain),
  new Format("dns1035Label", label1035),
  new Format("qualifiedName", qualifiedName),
  new Format("dns1123LabelPrefix", prefixed(label)),
  new Format("dns1123SubdomainPrefix", prefixed(subdomain)),
  new Format("dns1035LabelPrefix", prefixed(label1035)),
  new Format("labelValue", byPattern(VALUE, VALUE_PROBLEM, 63)),
  new Format("uri", unless((text) => URL.canParse(text) || /^\/[^\s]*$/.test(text), "invalid URI")),
  new Format("uuid", unless((text) => UUID.test(text), "does not match the UUID format")),
  new Format("byte", unless((text) => BASE64.test(text), "invalid base64")),
  new Format("date", unless(isDate, "invalid date")),
  new Format("datetime", unless(isDateTime, "invalid datetime")),
];

function validate({ problems }: Format, text: string): Optional {
  const found: Value[] = problems(text);
  return new Optional(found.length === 0 ? undefined : found);
}

/** `format.named(x)`, a function for each format, and `validate`. */
export const formatFunctions: readonly Overload[] = [
  ...FORMATS.map((format) => func(`format.${format.name}`, "", () => format)),
  func(
    "format.named",
    "string",
    (wanted: string) => new Optional(FORMATS.find((format) => format.name === wanted)),
  ),
  method("validate", "kubernetes.NamedFormat,string", validate),
];
