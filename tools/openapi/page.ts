/** The reference as one page of HTML. It runs no script and needs nothing from anywhere else. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";
import { code, Html, inline, markup, prose } from "./html.ts";
import { renderSchema, typeText } from "./page_schema.ts";

interface Document {
  info: { title: string; version: string; summary: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    parameters: Record<string, Parameter>;
    responses: Record<string, Answer>;
    schemas: Record<string, JsonSchema>;
  };
}

interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security?: unknown[];
  parameters: { $ref: string }[];
  requestBody?: { content: Content };
  responses: Record<string, Answer & { $ref?: string }>;
}

interface Parameter {
  name: string;
  in: string;
  description: string;
  required?: boolean;
  schema: JsonSchema;
}

interface Answer {
  description: string;
  headers?: Record<string, unknown>;
  content?: Content;
}

type Content = Record<
  string,
  { schema: JsonSchema; examples?: Record<string, { value: unknown }> }
>;

interface Route extends Operation {
  method: string;
  path: string;
}

/** Renders the document. */
export function renderPage(given: JsonSchema): string {
  const document = given as unknown as Document;
  const { info, tags, components } = document;
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    }))
  );
  const of = (tag: string) => routes.filter((route) => route.tags[0] === tag);
  const style = readFileSync(join(import.meta.dir, "page.css"), "utf8");
  return markup`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>${info.title} ${info.version}: reference of the REST API</title>
        <style>${new Html(style)}</style>
      </head>
      <body>
        <nav
          aria-label="Operations"><a class="home" href="#top">${info.title} <small>${info.version}</small></a>
    ${
    tags.map(({ name }) =>
      markup`
        <h2>${name}</h2>
        <ul>${of(name).map(renderLink)}</ul>
      `
    )
  }<h2>Schemas</h2><ul>${
    Object.keys(components.schemas).map((name) =>
      markup`<li><a href="#${name}"><code>${name}</code></a></li>`
    )
  }</ul></nav>
        <main id="top">
    <h1>${info.title}</h1>
    <p class="lead">${info.summary}.</p>
    ${prose(info.description)}
    <p>The same for programs: <a href="?format=json">JSON</a>, <a href="?format=yaml">YAML</a>.</p>
    ${
    tags.map(({ name, description }) =>
      markup`
        <section><h2>${name}</h2>${prose(description)}
        ${of(name).map((route) => renderRoute(route, document))}</section>
      `
    )
  }<section><h2>Schemas</h2>
    ${
    Object.entries(components.schemas).map(([name, schema]) => renderSchema(name, schema))
  }</section>
        </main>
      </body>
    </html>
  `.text;
}

function renderLink({ operationId, method, summary }: Route): Html {
  return markup`<li><a href="#${operationId}"><b class="${method}">${method}</b> ${summary}</a></li>`;
}

function renderRoute(route: Route, document: Document): Html {
  const { operationId, method, path, summary, description, security } = route;
  const parameters = route.parameters.map(({ $ref }) =>
    document.components.parameters[lastPart($ref)]
  ).filter((one) => one !== undefined);
  return markup`
    <details class="route">
      <summary><b class="${method}">${method}</b> <code>${
    path.replace("/api/maestro/v1/", "/")
  }</code> <span class="says">${summary}</span></summary>
      <div id="${operationId}" class="inside">
    <p class="path"><code>${method} ${path}</code>${security ? " needs no token." : ""}</p>
    ${prose(description)}
    ${renderParameters(parameters)}
    ${route.requestBody ? markup`<h4>Body</h4>${renderContent(route.requestBody.content)}` : ""}
    <h4>Example</h4>${code(curl(route))}
    <h4>Answers</h4>
    ${
    Object.entries(route.responses).map(([status, answer]) =>
      renderAnswer(status, document.components.responses[lastPart(answer.$ref ?? "")] ?? answer)
    )
  }</div>
    </details>
  `;
}

function renderParameters(parameters: readonly Parameter[]): Html {
  return markup`
    <h4>Parameters</h4>
    <table>${
    parameters.map(({ name, in: place, description, required, schema }) =>
      markup`
        <tr>
          <td><code>${name}</code>${
        required ? markup`<span class="required" title="required">*</span>` : ""
      }</td>
          <td class="type">${place}<br>${typeText(schema)}</td>
          <td>${inline(description)}</td>
        </tr>
      `
    )
  }</table>
  `;
}

function renderContent(content: Content): Html {
  return markup`${
    Object.entries(content).map(([type, { schema, examples = {} }]) =>
      markup`<p><code>${type}</code>: ${typeText(schema)}</p>${
        Object.entries(examples).map(([name, { value }]) =>
          markup`<details class="example"><summary>${name}</summary>${code(value)}</details>`
        )
      }`
    )
  }`;
}

function renderAnswer(status: string, { description, headers = {}, content }: Answer): Html {
  const names = Object.keys(headers).filter((name) => name !== "X-Operation-ID");
  return markup`
    <div
      class="answer"><b class="s${status[0]}">${status}</b><div>${
    inline(
      description,
    )
  }${
    names.length > 0
      ? markup`
          <span class="headers">with ${
        names.map((name) =>
          markup`
              <code>${name}</code>
            `
        )
      }</span>
        `
      : ""
  }${content && Number(status) < 400 ? renderContent(content) : ""}</div></div>
  `;
}

/** How the operation is called from a shell. */
function curl({ method, path, requestBody, security }: Route): string {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}"$MAESTRO${path}"`];
  if (!security) lines.push('-H "Authorization: Bearer $TOKEN"');
  for (const [type, { examples }] of Object.entries(requestBody?.content ?? {})) {
    const [example] = Object.values(examples ?? {});
    if (example === undefined) continue;
    lines.push(`-H "Content-Type: ${type}"`, `-d '${JSON.stringify(example.value, null, 2)}'`);
    break;
  }
  return lines.join(" \\\n  ").replace("{id}", "$ID");
}

function lastPart(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}
