/** A web page that lists and watches resource bundles, as an application would; a test bundles it for a browser. */

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  type ResourceBundle,
  ResourceBundleService,
  WatchEndSchema,
  WatchResourceBundlesResponse_Type as Type,
} from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";

/** What the address of the page says after its `#`. */
export interface PageOptions {
  server: string;
  token: string;
}

/** The little that is used here of what browsers offer. */
declare const document: { getElementById(id: string): { innerText: string } };
declare const location: { hash: string };

const { server, token } = JSON.parse(
  decodeURIComponent(location.hash.slice(1)),
) as PageOptions;

const options = {
  baseUrl: server,
  interceptors: [(next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  }] satisfies Parameters<typeof createConnectTransport>[0]["interceptors"],
};
const lister = createClient(ResourceBundleService, createGrpcWebTransport(options));
const watcher = createClient(
  ResourceBundleService,
  createConnectTransport({ ...options, useBinaryFormat: true }),
);

const show = (id: string, text: string) => void (document.getElementById(id).innerText = text);
const line = ({ id, version, delivery }: ResourceBundle) =>
  `${id} has version ${version}: ${delivery?.message}`;

async function list(): Promise<void> {
  const { resourceBundles } = await lister.list({ search: "consumer_name = 'cluster1'" });
  show("listed", resourceBundles.map((bundle) => `listed ${line(bundle)}`).join("\n"));
}

async function watch(): Promise<void> {
  const bundles = new Map<string, ResourceBundle>();
  for await (const { type, resourceBundle } of watcher.watch({})) {
    if (resourceBundle === undefined) continue;
    if (type === Type.DELETED) bundles.delete(resourceBundle.id);
    else bundles.set(resourceBundle.id, resourceBundle);
    show("watched", [...bundles.values()].map((bundle) => `watched ${line(bundle)}`).join("\n"));
  }
}

/** Somebody else may have the last place for a moment. */
async function watchOnceThereIsRoom(): Promise<void> {
  for (;;) {
    try {
      return await watch();
    } catch (thrown) {
      if (ConnectError.from(thrown).code !== Code.ResourceExhausted) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const complain = (thrown: unknown) => {
  const error = ConnectError.from(thrown);
  const cursor = error.findDetails(WatchEndSchema)[0]?.cursor ?? "";
  show("error", `${Code[error.code]}: ${error.rawMessage} [${cursor}]`);
};
list().catch(complain);
watchOnceThereIsRoom().catch(complain);
