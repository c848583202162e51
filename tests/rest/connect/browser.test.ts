/** A page in a real browser, from another origin than the server, over Connect and gRPC-Web. */

import { expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { ResourceBundleService } from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { type Page, startChromium } from "../../harness/chromium.ts";
import { transports } from "../../harness/connect.ts";
import { eventually } from "../../harness/eventually.ts";
import { startServer } from "../../harness/programs.ts";
import type { PageOptions } from "./browser_page.ts";

/** Serves the page on an origin of its own. */
async function servePage() {
  const built = await Bun.build({
    entrypoints: [`${import.meta.dir}/browser_page.ts`],
    target: "browser",
  });
  const script = await built.outputs[0]?.text();
  const html = '<p id="listed"></p><p id="watched"></p><p id="error"></p>' +
    '<script type="module" src="/page.js"></script>';
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/": new Response(html, { headers: { "Content-Type": "text/html" } }),
      "/page.js": new Response(script, { headers: { "Content-Type": "text/javascript" } }),
    },
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    // A name of the same machine, and another origin all the same.
    strange: `http://localhost:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

const untilShows = (page: Page, words: string) =>
  eventually(() => page.text(), (text) => text.includes(words));

const hash = (options: PageOptions) => `/#${encodeURIComponent(JSON.stringify(options))}`;

test(
  "a page of another origin lists bundles and sees them change; one that is not named sees nothing",
  async () => {
    await using page = await servePage();
    await using chromium = await startChromium();
    await using server = await startServer({
      isFromSource: true,
      args: ["--cors-allowed-origins", page.origin, "--watchers-max", "1"],
    });
    const { rest, adminToken: token } = server;
    await fetch(`${rest}/api/maestro/v1/consumers`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
      body: '{"name":"cluster1"}',
    });
    const client = createClient(ResourceBundleService, transports(rest, token)["gRPC-Web"]);
    const apply = (value: string) =>
      client.apply({
        ...{ id: "web", consumerName: "cluster1" },
        manifests: [
          `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"${value}"}}`,
        ],
      });
    await apply("1");

    const opened = await chromium.open(page.origin + hash({ server: rest, token }));
    await untilShows(opened, "listed web has version 1: version 1 is waiting for the agent of");
    await untilShows(opened, "watched web has version 1");
    await apply("2");
    await untilShows(opened, "watched web has version 2");
    // There is room for one watcher, and a page that is closed leaves it.
    await opened.close();
    const again = await chromium.open(page.origin + hash({ server: rest, token }));
    await untilShows(again, "watched web has version 2");
    const strange = await chromium.open(page.strange + hash({ server: rest, token }));
    await untilShows(strange, "Failed to fetch");
    await server.kill("SIGTERM");
    const end = await untilShows(again, "Unavailable");

    expect(await strange.text()).not.toContain("web has version");
    expect(end).toMatch(/Unavailable: the server is shutting down.* \[[\w-]+\]/);
  },
  60_000,
);
