/** The syntax of names in Kubernetes, with the messages that its API server gives. */

const DNS_1123_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_1123_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const DNS_1035_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const LABEL_BYTES_MAX = 63;
const SUBDOMAIN_BYTES_MAX = 253;

/** What is wrong with a DNS-1123 label; empty if nothing is. */
export function dns1123LabelErrors(text: string): string[] {
  const errors = tooLong(text, LABEL_BYTES_MAX);
  if (!DNS_1123_LABEL.test(text)) {
    errors.push(
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " +
        "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex " +
        "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    );
  }
  return errors;
}

/** What is wrong with a DNS-1123 subdomain; empty if nothing is. */
export function dns1123SubdomainErrors(text: string): string[] {
  const errors = tooLong(text, SUBDOMAIN_BYTES_MAX);
  if (!DNS_1123_SUBDOMAIN.test(text)) {
    errors.push(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or " +
        "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex " +
        "used for validation is " +
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
  }
  return errors;
}

/** What is wrong with a DNS-1035 label; empty if nothing is. */
export function dns1035LabelErrors(text: string): string[] {
  const errors = tooLong(text, LABEL_BYTES_MAX);
  if (!DNS_1035_LABEL.test(text)) {
    errors.push(
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an " +
        "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or " +
        "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    );
  }
  return errors;
}

/** What is wrong with a qualified name (`name` or `example.com/name`); empty if nothing is. */
export function qualifiedNameErrors(text: string): string[] {
  if (text.length <= LABEL_BYTES_MAX && QUALIFIED_NAME.test(text)) return [];
  const parts = text.split("/");
  if (parts.length > 2) {
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start " +
      "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', " +
      "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an " +
      "optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  }
  const name = parts.pop() ?? "";
  const [prefix] = parts;
  const errors: string[] = [];
  if (prefix === "") errors.push("prefix part must be non-empty");
  else if (prefix !== undefined) {
    errors.push(...dns1123SubdomainErrors(prefix).map((error) => `prefix part ${error}`));
  }
  if (name === "") errors.push("name part must be non-empty");
  else errors.push(...tooLong(name, LABEL_BYTES_MAX).map((error) => `name part ${error}`));
  if (!QUALIFIED_NAME.test(name)) {
    errors.push(
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end " +
        "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used " +
        "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    );
  }
  return errors;
}

/** What is wrong with the value of a label; empty if nothing is. */
export function labelValueErrors(text: string): string[] {
  const errors = tooLong(text, LABEL_BYTES_MAX);
  if (!LABEL_VALUE.test(text)) {
    errors.push(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or " +
        "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or " +
        "'my_value',  or '12345', regex used for validation is " +
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
  }
  return errors;
}

function tooLong(text: string, bytesMax: number): string[] {
  return Buffer.byteLength(text) > bytesMax ? [`must be no more than ${bytesMax} characters`] : [];
}
