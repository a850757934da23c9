import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { NodeRequest, NodeResponse } from "./node-server.ts";
import { requestPath, sendError, sendJson, sendText } from "./responses.ts";
import type { ServingState } from "./serving-state.ts";

export interface ProbesOptions {
  serving: ServingState;
  /** Served at /metrics where it is given. */
  metrics?: Pick<Registry, "metrics" | "contentType"> | undefined;
  log: Pick<Logger, "error">;
}

/** Answers a probe's request, and says true; says false, and leaves the request alone, where its path is none of the probes'. */
export type Probes = (request: NodeRequest, response: NodeResponse) => boolean;

/**
 * The pages that machines look at, without a key: `/healthz` (the process lives), `/readyz` (it can do its work: 200, or 503 with the state of
 * each check, or 503 from the moment when the shutdown begins) and `/metrics` (Prometheus text). GET and HEAD only.
 */
export function createProbes({ serving, metrics, log }: ProbesOptions): Probes {
  const pages = new Map<string, Page>([
    ["/healthz", (request, response) => sendJson(request, response, 200, { status: "ok" })],
    ["/readyz", (request, response) => sendReadiness(request, response, serving)],
  ]);
  if (metrics !== undefined) {
    pages.set("/metrics", async (request, response) => {
      sendText(request, response, { status: 200, type: metrics.contentType, text: await metrics.metrics() });
    });
  }
  return (request, response) => {
    const path = requestPath(request);
    const page = pages.get(path);
    if (page === undefined) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      const message = `${path} is only read: use GET or HEAD`;
      sendError(request, response, 405, "UNIMPLEMENTED", message, { allow: "GET, HEAD" });
      return true;
    }
    void show(page, request, response, log);
    return true;
  };
}

async function show(
  page: Page,
  request: NodeRequest,
  response: NodeResponse,
  log: ProbesOptions["log"],
): Promise<void> {
  try {
    await page(request, response);
  } catch (error) {
    log.error({ err: error, path: requestPath(request) }, "a probe could not be answered");
    if (!response.headersSent) sendError(request, response, 500, "INTERNAL", "internal error");
  }
}

type Page = (request: NodeRequest, response: NodeResponse) => Promise<void> | void;

async function sendReadiness(request: NodeRequest, response: NodeResponse, serving: ServingState): Promise<void> {
  const { ok, checks } = await serving.check();
  if (serving.closing.aborted) return sendJson(request, response, 503, { status: "shutting down" });
  sendJson(request, response, ok ? 200 : 503, { status: ok ? "ready" : "not ready", checks });
}
