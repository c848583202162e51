/** Reads kubeconfig files: which server, whose certificate, which credentials. */

import { dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { describeError, MaestroError } from "../errors.ts";
import type { Credentials, Environment, KubeAccess, Trust } from "./access.ts";
import { execSchema, startExecPlugin } from "./exec_plugin.ts";
import { freshFile, readText } from "./fresh_file.ts";

const text = v.nullish(v.string());

const clusterSchema = v.object({
  server: v.string("is missing"),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": v.nullish(v.boolean()),
  "tls-server-name": text,
  "proxy-url": text,
  extensions: v.nullish(v.array(v.object({ name: v.string(), extension: v.unknown() }))),
});

const userSchema = v.object({
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  "auth-provider": v.nullish(v.unknown()),
  exec: v.nullish(execSchema),
});

const listOf = <Schema extends v.GenericSchema>(key: string, schema: Schema) =>
  v.nullish(v.array(v.looseObject({ name: v.string(), [key]: v.nullish(schema) })), []);

const kubeconfigSchema = v.object({
  "current-context": text,
  clusters: listOf("cluster", v.looseObject({})),
  users: listOf("user", v.looseObject({})),
  contexts: listOf("context", v.object({ cluster: v.string(), user: text, namespace: text })),
});

type Cluster = v.InferOutput<typeof clusterSchema>;
type User = v.InferOutput<typeof userSchema>;
type Named = { name: string; [key: string]: unknown };

/** A part of a kubeconfig, and the folder that its relative paths start from. */
interface Found {
  value: unknown;
  folder: string;
}

/**
 * Reads one kubeconfig, or several of which the first that names a thing decides.
 *
 * Takes the current context unless another is given. With `mayLack` files may be missing, as in `$KUBECONFIG`.
 */
export async function readKubeconfig(
  paths: readonly string[],
  env: Environment,
  options: { context?: string | undefined; mayLack?: "some" } = {},
): Promise<KubeAccess> {
  const files: { path: string; config: v.InferOutput<typeof kubeconfigSchema> }[] = [];
  for (const path of paths) {
    if (options.mayLack && !await Bun.file(path).exists()) continue;
    files.push({
      path,
      config: check(kubeconfigSchema, parseYaml(await readText(path), path), path),
    });
  }
  const shown = paths.join(":");
  const find = (list: "clusters" | "users" | "contexts", key: string, name: string): Found => {
    for (const { path, config } of files) {
      const found = (config[list] as Named[]).find((each) => each.name === name);
      if (found !== undefined) return { value: found[key] ?? {}, folder: dirname(path) };
    }
    throw unusable(shown, `it has no ${key} "${name}"`);
  };

  const contextName = options.context ||
    files.map(({ config }) => config["current-context"]).find((name) => !!name);
  if (!contextName) throw unusable(shown, "it has no current-context");
  const context = find("contexts", "context", contextName).value as {
    cluster: string;
    user?: string | null;
    namespace?: string | null;
  };
  const foundCluster = find("clusters", "cluster", context.cluster);
  const cluster = check(
    clusterSchema,
    foundCluster.value,
    `${shown}: cluster "${context.cluster}"`,
  );
  const trust = await readTrust(cluster, foundCluster.folder, shown);
  const foundUser = context.user ? find("users", "user", context.user) : { value: {}, folder: "." };
  const user = check(userSchema, foundUser.value, `${shown}: user "${context.user}"`);
  const server = cluster.server.replace(/\/+$/, "");
  return {
    server,
    trust,
    namespace: context.namespace || "default",
    credentials: await openCredentials(user, foundUser.folder, shown, env, {
      server,
      trust,
      config: cluster.extensions?.find(({ name }) => name === "client.authentication.k8s.io/exec")
        ?.extension,
    }),
  };
}

async function readTrust(cluster: Cluster, folder: string, shown: string): Promise<Trust> {
  if (!URL.canParse(cluster.server)) {
    throw unusable(shown, `server "${cluster.server}" is not a URL`);
  }
  if (cluster["proxy-url"]) {
    throw unusable(shown, "proxy-url is not supported; set HTTPS_PROXY in the environment instead");
  }
  const isInsecure = cluster["insecure-skip-tls-verify"] === true;
  const file = pem(cluster, "certificate-authority", folder, shown);
  const ca = await file?.read();
  if (isInsecure && ca !== undefined) {
    throw unusable(shown, "it has both insecure-skip-tls-verify and a certificate authority");
  }
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    throw unusable(shown, "its certificate authority is not a PEM certificate");
  }
  return {
    isInsecure,
    ...(file === undefined || ca === undefined ? {} : { ca, readCa: file.read }),
    ...(cluster["tls-server-name"] ? { serverName: cluster["tls-server-name"] } : {}),
  };
}

/** Chooses as client-go does: a program is asked only if there is no token, certificate or password. */
async function openCredentials(
  user: User,
  folder: string,
  shown: string,
  env: Environment,
  cluster: { server: string; trust: Trust; config: unknown },
): Promise<KubeAccess["credentials"]> {
  if (user.as) throw unusable(shown, `impersonation (as: "${user.as}") is not supported`);
  if (user["auth-provider"]) {
    throw unusable(shown, "auth-provider is not supported; Kubernetes replaced it by exec in 1.26");
  }
  const cert = pem(user, "client-certificate", folder, shown);
  const key = pem(user, "client-key", folder, shown);
  if ((cert === undefined) !== (key === undefined)) {
    throw unusable(shown, "a client certificate needs both client-certificate and client-key");
  }
  const tokenFile = user.tokenFile ? freshFile(resolve(folder, user.tokenFile)) : undefined;
  const own = async (refused?: Credentials): Promise<Credentials> => {
    const again = refused && "again";
    const credentials: Credentials = {};
    const token = tokenFile ? await tokenFile.read(again) : user.token;
    if (token) credentials.authorization = `Bearer ${token}`;
    else if (user.username) {
      const pair = Buffer.from(`${user.username}:${user.password ?? ""}`).toString("base64");
      credentials.authorization = `Basic ${pair}`;
    }
    if (cert && key) {
      credentials.certificate = { cert: await cert.read(again), key: await key.read(again) };
    }
    return credentials;
  };
  if (user.exec && !cert && !tokenFile && !user.token && !user.username) {
    return startExecPlugin(user.exec, { folder, env, cluster });
  }
  // A file that does not exist must stop the start, not the first call.
  await own();
  return own;
}

/** The PEM text that is in the file itself (`…-data`) or in another; undefined if there is neither. */
function pem(
  from: Record<string, unknown>,
  key: "certificate-authority" | "client-certificate" | "client-key",
  folder: string,
  shown: string,
): { read(again?: "again"): Promise<string> } | undefined {
  const inline = from[`${key}-data`];
  const path = from[key];
  if (typeof inline === "string" && inline !== "") {
    const decoded = Buffer.from(inline, "base64").toString("utf8");
    if (!decoded.includes("-----BEGIN ")) throw unusable(shown, `${key}-data is not PEM in base64`);
    return { read: () => Promise.resolve(decoded) };
  }
  return typeof path === "string" && path !== "" ? freshFile(resolve(folder, path)) : undefined;
}

function resolve(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

function parseYaml(source: string, path: string): unknown {
  try {
    return parse(source) ?? {};
  } catch (cause) {
    throw unusable(path, `it is not YAML: ${describeError(cause)}`, cause);
  }
}

function check<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  shown: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw unusable(shown, path === null ? issue.message : `${path}: ${issue.message}`);
}

function unusable(shown: string, state: string, cause?: unknown): MaestroError {
  return new MaestroError("invalid_argument", `Cannot use kubeconfig "${shown}": ${state}`, {
    cause,
  });
}
