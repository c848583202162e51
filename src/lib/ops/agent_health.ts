/** What the agent's door answers: probes to everybody, metrics to whom the cluster lets read them. */

import { describeError } from "../errors.ts";
import type { Reviewer } from "./agent_reviews.ts";
import { EXPOSITION_TYPE } from "./exposition.ts";

export interface AgentAnswers {
  /** Why the agent cannot work now; undefined if it can. */
  readiness(): Promise<string | undefined> | string | undefined;
  /** What the agent is stuck in, which only a restart ends; undefined if it is not. */
  stuck(): string | undefined;
  /** A remark for an agent that is well: "standing by", or nothing. */
  remark(): string | undefined;
  /** The metrics as Prometheus text. */
  metrics(): string;
  /** Without it, everybody who reaches the door may read metrics. */
  reviewer: Reviewer | undefined;
}

/**
 * Answers `/healthz`, `/livez`, `/readyz` and `/metrics`.
 *
 * Ready means in touch with the server and the cluster: the body of a 503 says why not. Alive never looks at
 * connections, since a restart would not bring them back.
 */
export async function answerAgent(request: Request, answers: AgentAnswers): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("method not allowed\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  if (pathname === "/healthz" || pathname === "/livez") return verdict(answers.stuck(), answers);
  if (pathname === "/readyz") return verdict(await answers.readiness(), answers);
  if (pathname !== "/metrics") return new Response("not found\n", { status: 404 });
  const refusal = await refuse(request, pathname, answers.reviewer);
  if (refusal !== undefined) return refusal;
  return new Response(answers.metrics(), { headers: { "Content-Type": EXPOSITION_TYPE } });
}

function verdict(reason: string | undefined, answers: AgentAnswers): Response {
  if (reason !== undefined) return new Response(`${reason}\n`, { status: 503 });
  const remark = answers.remark();
  return new Response(remark === undefined ? "ok" : `ok: ${remark}\n`);
}

async function refuse(
  request: Request,
  path: string,
  reviewer: Reviewer | undefined,
): Promise<Response | undefined> {
  if (reviewer === undefined) return undefined;
  try {
    const found = await reviewer(request.headers.get("authorization"), path);
    if (found === "allowed") return undefined;
    if (found === "forbidden") {
      return new Response(`forbidden: needs the verb "get" on "${path}"\n`, { status: 403 });
    }
    const headers = { "WWW-Authenticate": "Bearer" };
    return new Response("unauthorized: needs a bearer token\n", { status: 401, headers });
  } catch (error) {
    const text = `cannot check the token: ${describeError(error)}\n`;
    return new Response(text, { status: 503 });
  }
}
