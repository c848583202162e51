/** Who we are and whom we trust, on a real API server. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findKubeAccess } from "../../src/lib/kube/access.ts";
import { openKube } from "../../src/lib/kube/client.ts";
import { readInClusterAccess } from "../../src/lib/kube/in_cluster.ts";
import type { KubeAccess } from "../../src/lib/kube/access.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refusal } from "./objects.ts";

let kubernetes: Kubernetes;
let folder: string;
let admin: { ca: string; cert: string; key: string; token: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "maestro-test-"));
  kubernetes = await startKubernetes();
  const read = async (name: string) =>
    (await Bun.file(join(kubernetes.directory, name)).text()).trim();
  admin = {
    ca: await read("ca.crt"),
    cert: await read("admin.crt"),
    key: await read("admin.key"),
    token: await read("admin.token"),
  };
}, 60_000);

afterAll(async () => {
  await kubernetes[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
}, 20_000);

/** Writes a file into the test folder and returns its path. */
async function file(name: string, text: string): Promise<string> {
  const path = join(folder, `${crypto.randomUUID()}-${name}`);
  await Bun.write(path, text);
  return path;
}

/** Writes a kubeconfig whose user and cluster have these members. */
function kubeconfig(
  user: Record<string, unknown>,
  cluster: Record<string, unknown> = { "certificate-authority-data": btoa(admin.ca) },
): Promise<string> {
  return file(
    "kubeconfig",
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "here",
      contexts: [{ name: "here", context: { cluster: "c", user: "u", namespace: "ns" } }],
      clusters: [{ name: "c", cluster: { server: kubernetes.url, ...cluster } }],
      users: [{ name: "u", user }],
    }),
  );
}

/** The name under which the API server knows us. */
async function whoAmI(access: KubeAccess): Promise<string> {
  const kube = openKube(access);
  const type = await kube.resolve("authentication.k8s.io/v1", "SelfSubjectReview");
  if (type === undefined) throw new Error("The server serves no SelfSubjectReview");
  const review = await kube.create({ type, namespace: "", name: "" }, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "SelfSubjectReview",
  }, { fieldManager: "tests" });
  return (review as { status: { userInfo: { username: string } } }).status.userInfo.username;
}

const open = (path: string) => findKubeAccess({ kubeconfig: path }, process.env);

async function startFailure(opening: Promise<unknown>): Promise<string> {
  const error = await opening.then(() => undefined, (thrown) => thrown);
  expect(error).toBeInstanceOf(MaestroError);
  return (error as MaestroError).message;
}

test("a token says who we are", async () => {
  expect(await whoAmI(await open(kubernetes.kubeconfig))).toBe("admin");
  expect(await whoAmI(await open(`${kubernetes.kubeconfig}-limited`))).toBe("limited");
});

test("a client certificate says who we are, and is not lent to a caller without one", async () => {
  const path = `${kubernetes.kubeconfig}-cert`;
  const byFiles = await kubeconfig({
    "client-certificate": await file("crt", admin.cert),
    "client-key": await file("key", admin.key),
  });

  expect(await whoAmI(await open(path))).toBe("admin");
  expect(await whoAmI(await open(byFiles))).toBe("admin");
  expect((await refusal(whoAmI(await open(await kubeconfig({}))))).reason).toBe("Forbidden");
  expect(await whoAmI(await open(path))).toBe("admin");
});

test("a token file that was replaced is read again when the old token is refused", async () => {
  const tokenFile = await file("token", "an-old-token\n");
  const access = await open(await kubeconfig({ tokenFile }));
  expect((await refusal(whoAmI(access))).reason).toBe("Unauthorized");

  await Bun.write(tokenFile, `${admin.token}\n`);

  expect(await whoAmI(access)).toBe("admin");
});

test("a program gives the token, told about the cluster, and runs once while it is valid", async () => {
  const runs = await file("runs", "");
  const program = await file(
    "plugin.sh",
    `echo "$1 $GREETING $KUBERNETES_EXEC_INFO" >> ${runs}
     echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{
       "token":"${admin.token}","expirationTimestamp":"2999-01-01T00:00:00Z"}}'`,
  );
  const access = await open(
    await kubeconfig({
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "bash",
        args: [program, "--login"],
        env: [{ name: "GREETING", value: "hello" }],
        provideClusterInfo: true,
        interactiveMode: "IfAvailable",
      },
    }),
  );

  expect(await whoAmI(access)).toBe("admin");
  expect(await whoAmI(access)).toBe("admin");

  const [line = "", ...more] = (await Bun.file(runs).text()).trim().split("\n");
  expect(more).toEqual([]);
  expect(line).toStartWith('--login hello {"kind":"ExecCredential"');
  expect(line).toContain(`"server":"${kubernetes.url}"`);
  expect(line).toContain(btoa(admin.ca));
});

test("a program runs again when its credentials are refused, or have expired", async () => {
  /** A program whose first token is wrong, and how often it ran. */
  const start = async (expirationTimestamp: string) => {
    const runs = await file("runs", "");
    const program = await file(
      "plugin.sh",
      `echo run >> ${runs}
       token=refused; [ $(wc -l < ${runs}) -gt 1 ] && token=${admin.token}
       echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{
         "token":"'$token'","expirationTimestamp":"${expirationTimestamp}"}}'`,
    );
    const apiVersion = "client.authentication.k8s.io/v1beta1";
    const exec = { apiVersion, command: "bash", args: [program] };
    const countRuns = async () => (await Bun.file(runs).text()).trim().split("\n").length;
    return { access: await open(await kubeconfig({ exec })), countRuns };
  };
  const lasting = await start("2999-01-01T00:00:00Z");
  const expired = await start("2001-01-01T00:00:00Z");

  expect(await whoAmI(lasting.access)).toBe("admin");
  expect(await lasting.countRuns()).toBe(2);
  expect(await whoAmI(expired.access)).toBe("admin");
  // For discovery, again since that token was refused, and for the review.
  expect(await expired.countRuns()).toBe(3);
});

test("a program may give a client certificate", async () => {
  const answer = JSON.stringify({
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    status: { clientCertificateData: admin.cert, clientKeyData: admin.key },
  });
  const access = await open(
    await kubeconfig({
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "cat",
        args: [await file("answer.json", answer)],
      },
    }),
  );

  expect(await whoAmI(access)).toBe("admin");
});

test("a program that is missing or fails says so, with the hint of the kubeconfig", async () => {
  const failureOf = async (members: Record<string, unknown>) => {
    const exec = { apiVersion: "client.authentication.k8s.io/v1", ...members };
    return await refusal(whoAmI(await open(await kubeconfig({ exec }))));
  };

  const missing = await failureOf({
    command: "no-such-plugin",
    installHint: "Install it with apt",
  });
  const failing = await failureOf({
    command: "bash",
    args: ["-c", "echo login first >&2; exit 3"],
  });
  const silent = await failureOf({ command: "true" });

  expect([missing.status, missing.reason]).toEqual([0, "NoCredentials"]);
  expect(missing.message).toBe(
    'Cannot get Kubernetes credentials from "no-such-plugin": the program is not there. Install it with apt',
  );
  expect(failing.message).toEndWith('"bash": it ended with 3: login first');
  expect(silent.message).toEndWith('"true": its output is not JSON');
});

test("a server with a certificate of another authority is refused", async () => {
  const other = await kubeconfig({ token: admin.token }, {
    "certificate-authority-data": btoa(admin.cert),
  });
  const none = await kubeconfig({ token: admin.token }, {});

  for (const path of [other, none]) {
    const error = await refusal(whoAmI(await open(path)));
    expect([error.status, error.reason]).toEqual([0, "Unreachable"]);
    expect(error.message).toBe(
      `Cannot reach Kubernetes at "${kubernetes.url}": its certificate is not signed by the ` +
        "certificate authority given",
    );
  }
});

test("a server with a certificate for another name is refused, unless that name is expected", async () => {
  const trusted = { "certificate-authority": await file("ca.crt", admin.ca) };
  const wrong = { ...trusted, "tls-server-name": "elsewhere.example.com" };
  const right = { ...trusted, "tls-server-name": "kubernetes.default.svc" };
  const as = async (cluster: Record<string, unknown>) =>
    await whoAmI(await open(await kubeconfig({ token: admin.token }, cluster)));

  expect((await refusal(as(wrong))).message).toEndWith("its certificate is for another name");
  expect(await as(right)).toBe("admin");
  expect(await as({ "insecure-skip-tls-verify": true })).toBe("admin");
});

test("a server that is not there, or that never answers, is an error in time", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const gone = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  gone.stop();
  const to = async (port: number) => {
    const path = await kubeconfig({}, { server: `https://127.0.0.1:${port}/` });
    const kube = await openKubeconfig(path, { timeoutMs: 300 });
    return await refusal(kube.resolve("v1", "Pod"));
  };

  const [refused, overdue] = [await to(gone.port), await to(silent.port)];
  silent.stop();

  expect([refused.status, refused.reason]).toEqual([0, "Unreachable"]);
  expect(refused.message).toEndWith("connection refused");
  expect([overdue.status, overdue.reason]).toEqual([0, "Timeout"]);
  expect(overdue.message).toEndWith("no answer within 300 ms");
});

test("a call ends at once when we stop", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const path = await kubeconfig({}, { server: `https://127.0.0.1:${silent.port}` });
  const stop = new AbortController();
  const kube = await openKubeconfig(path, { signal: stop.signal });

  const call = refusal(kube.resolve("v1", "Pod"));
  await Bun.sleep(50);
  stop.abort();

  expect((await call).reason).toBe("Aborted");
  silent.stop();
});

test("a pod uses its service account, whose token is replaced", async () => {
  const mount = await mkdtemp(join(folder, "mount-"));
  await Bun.write(join(mount, "token"), "an-old-token");
  await Bun.write(join(mount, "ca.crt"), admin.ca);
  await Bun.write(join(mount, "namespace"), "agents");
  const { hostname, port } = new URL(kubernetes.url);
  const access = await readInClusterAccess({
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
  }, mount);
  await access.credentials();

  await Bun.write(join(mount, "token"), admin.token);

  expect(access.namespace).toBe("agents");
  expect(await whoAmI(access)).toBe("admin");
});

test("KUBECONFIG may list several files, of which some are missing", async () => {
  const users = await file("users", "users: [{ name: admin, user: { token: wrong } }]");
  const env = { KUBECONFIG: `/no/such/file:${kubernetes.kubeconfig}:${users}` };
  const reversed = { KUBECONFIG: `${users}:${kubernetes.kubeconfig}` };

  expect(await whoAmI(await findKubeAccess({}, env))).toBe("admin");
  const shadowed = await findKubeAccess({}, reversed);
  expect((await refusal(whoAmI(shadowed))).reason).toBe("Unauthorized");
});

test("a kubeconfig that cannot be used says why", async () => {
  const token = { token: "t" };
  const cases: [path: string, text: string][] = [
    ["/no/such/file", 'Cannot read file "/no/such/file": it does not exist'],
    [await file("k", "a: [1"), "it is not YAML: "],
    [await file("k", "{}"), "it has no current-context"],
    [await file("k", "{ current-context: x }"), 'it has no context "x"'],
    [await file("k", "{ clusters: 3 }"), "clusters: "],
    [await kubeconfig(token, { "proxy-url": "http://p" }), "proxy-url is not supported"],
    [await kubeconfig(token, { server: "nowhere" }), 'server "nowhere" is not a URL'],
    [await kubeconfig(token, { "certificate-authority-data": "eA==" }), "is not PEM in base64"],
    [await kubeconfig({ as: "root" }), 'impersonation (as: "root") is not supported'],
    [await kubeconfig({ "auth-provider": { name: "gcp" } }), "auth-provider is not supported"],
    [await kubeconfig({ "client-key": "k" }), "needs both client-certificate and client-key"],
    [await kubeconfig({ tokenFile: "/no/such/token" }), '"/no/such/token": it does not exist'],
    [await kubeconfig({ exec: { apiVersion: "v1", command: "x" } }), "exec.apiVersion: must be"],
  ];

  for (const [path, text] of cases) expect(await startFailure(open(path))).toContain(text);
});

test("without any kubeconfig outside a pod the error names what was tried", async () => {
  const message = await startFailure(findKubeAccess({}, { HOME: folder }));

  expect(message).toContain("--kubeconfig is not set, nor KUBECONFIG");
});
