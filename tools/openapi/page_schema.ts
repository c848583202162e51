/** Shows schemas: a row for each member, with its type in a few words. */

import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";
import { Html, inline, markup, prose } from "./html.ts";

/** A schema of the document, under its name. */
export function renderSchema(name: string, schema: JsonSchema): Html {
  return markup`
    <details class="schema">
      <summary><code>${name}</code> <span class="says">${
    inline(
      firstSentence(schema["description"]),
    )
  }</span></summary>
      <div id="${name}" class="inside">${prose(schema["description"])}${renderMembers(schema)}</div>
    </details>
  `;
}

/** The members of an object, of what a list has, or of each of several shapes. */
function renderMembers(schema: JsonSchema): Html {
  const shapes = (schema["oneOf"] ?? schema["anyOf"]) as JsonSchema[] | undefined;
  if (shapes !== undefined) {
    const shown = shapes.filter((one) => one["properties"] !== undefined);
    return markup`${
      shown.map((one) => markup`<p class="shape">${nameShape(one)}</p>${renderMembers(one)}`)
    }`;
  }
  if (schema["items"] !== undefined) return renderMembers(schema["items"] as JsonSchema);
  const properties = Object.entries((schema["properties"] ?? {}) as Record<string, JsonSchema>);
  if (properties.length === 0) return markup``;
  const required = (schema["required"] ?? []) as string[];
  return markup`<table>${
    joinAlike(properties).map(({ names, member }) => renderMember(names, member, required))
  }</table>`;
}

/** Members that are the same, one behind the other, share a row. */
function joinAlike(
  properties: readonly [string, JsonSchema][],
): { names: string[]; member: JsonSchema }[] {
  const rows: { names: string[]; member: JsonSchema }[] = [];
  for (const [name, member] of properties) {
    const last = rows.at(-1);
    if (JSON.stringify(last?.member) === JSON.stringify(member)) last?.names.push(name);
    else rows.push({ names: [name], member });
  }
  return rows;
}

function renderMember(names: string[], member: JsonSchema, required: readonly string[]): Html {
  const below = hasMembers(member) ? renderMembers(withoutNull(member)) : markup``;
  return markup`
    <tr>
      <td>${
    names.map((name) =>
      markup`<code>${name}</code>${
        required.includes(name) ? markup`<span class="required" title="required">*</span>` : ""
      } `
    )
  }</td>
      <td class="type">${typeText(member)}</td>
      <td>${inline(member["description"])}${below}</td>
    </tr>
  `;
}

function withoutNull(schema: JsonSchema): JsonSchema {
  const [only, ...others] = ((schema["anyOf"] ?? []) as JsonSchema[])
    .filter((one) => one["type"] !== "null");
  return only !== undefined && others.length === 0 ? only : schema;
}

function hasMembers(schema: JsonSchema): boolean {
  const { properties, items, $ref } = withoutNull(schema);
  if ($ref !== undefined) return false;
  return properties !== undefined || (items !== undefined && hasMembers(items as JsonSchema));
}

/** The type of a schema in a few words, with links to those that have a name. */
export function typeText(schema: JsonSchema): Html {
  const one = withoutNull(schema);
  const { $ref, type, items, format, enum: words, const: constant, pattern } = one;
  if (typeof $ref === "string") {
    const name = $ref.slice($ref.lastIndexOf("/") + 1);
    return markup`<a href="#${name}">${name}</a>`;
  }
  const shapes = (one["anyOf"] ?? one["oneOf"]) as JsonSchema[] | undefined;
  if (shapes !== undefined) {
    return markup`${
      shapes.map((shape, index) => markup`${index > 0 ? " or " : ""}${typeText(shape)}`)
    }`;
  }
  if (constant !== undefined) return markup`<code>${JSON.stringify(constant)}</code>`;
  if (Array.isArray(words)) {
    return markup`${
      words.map((word, at) => markup`${at > 0 ? ", " : ""}<code>${String(word)}</code>`)
    }`;
  }
  if (items !== undefined) return markup`list of ${typeText(items as JsonSchema)}`;
  const name = [type ?? "any"].flat().filter((part) => part !== "null").join(" or ");
  const rest = [format, range(one), pattern === undefined ? undefined : "of a pattern"]
    .filter((part) => part !== undefined);
  return markup`${[name, ...rest].join(", ")}`;
}

function range({ minimum, maximum, maxLength, maxItems }: JsonSchema): string | undefined {
  if (minimum !== undefined && maximum !== undefined) {
    return `${Number(minimum).toLocaleString("en")} to ${Number(maximum).toLocaleString("en")}`;
  }
  if (minimum !== undefined) return `from ${String(minimum)}`;
  if (maxLength === 0) return "empty";
  if (maxLength !== undefined) return `up to ${String(maxLength)} characters`;
  return maxItems === undefined ? undefined : `up to ${String(maxItems)}`;
}

function nameShape({ properties }: JsonSchema): Html {
  const first = Object.entries((properties ?? {}) as Record<string, JsonSchema>)
    .find(([, member]) => member["const"] !== undefined);
  return first
    ? markup`<code>${first[0]}: ${JSON.stringify(first[1]["const"])}</code>`
    : markup`or`;
}

function firstSentence(text: unknown): string {
  return typeof text === "string" ? /^.*?[.:](?=\s|$)/.exec(text)?.[0] ?? text : "";
}
