/** HTML as text: everything is escaped but what is HTML already. */

/** HTML that is safe to be put into more of it. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | undefined | readonly Part[];

/** Makes HTML; what is put in is escaped. */
export function markup(texts: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(texts.map((text, index) => text + write(parts[index])).join(""));
}

function write(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(write).join("");
  return String(part).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Prose: paragraphs, and code between backticks. */
export function prose(text: unknown): Html {
  if (typeof text !== "string") return markup``;
  return markup`${text.split(/\n\n+/).map((paragraph) => markup`<p>${inline(paragraph)}</p>`)}`;
}

/** One line of prose. */
export function inline(text: unknown): Html {
  if (typeof text !== "string") return markup``;
  return markup`${
    text.split("`").map((part, index) => index % 2 === 1 ? markup`<code>${part}</code>` : part)
  }`;
}

/** A block of code: JSON, or text as it is. */
export function code(value: unknown): Html {
  return markup`<pre><code>${
    typeof value === "string" ? value.trimEnd() : JSON.stringify(value, null, 2)
  }</code></pre>`;
}
