import { Counter, Registry } from "prom-client";
import { expect, test } from "vitest";
import { waitFor } from "../../support/wait-for.ts";
import { httpGet } from "./http-get.ts";
import { startTestServers } from "./test-servers.ts";

test("/healthz says that the process lives, whatever the database says", async () => {
  const { httpUrl, health } = await startTestServers();
  health.readiness = { ok: false, checks: { database: { ok: false } } };
  const answer = await httpGet(`${httpUrl}/healthz`);
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toEqual({ status: "ok" });
});

test("/readyz follows the checks, and shows the state of each", async () => {
  const { httpUrl, health } = await startTestServers();
  const ready = await httpGet(`${httpUrl}/readyz`);
  expect(ready.status).toBe(200);
  expect(JSON.parse(ready.body)).toEqual({ status: "ready", checks: { database: { ok: true } } });
  health.readiness = { ok: false, checks: { database: { ok: true }, broker: { ok: false, error: "gone" } } };
  const notReady = await waitFor(async () => {
    const answer = await httpGet(`${httpUrl}/readyz`);
    return answer.status === 503 && answer;
  });
  expect(JSON.parse(notReady.body)).toEqual({ status: "not ready", checks: health.readiness.checks });
});

test("/readyz says 503 when the health source fails, or gives no answer", async () => {
  const failing = await startTestServers({ health: { ready: () => Promise.reject(new Error("hunter2")) } });
  const failed = await httpGet(`${failing.httpUrl}/readyz`);
  expect(failed.status).toBe(503);
  expect(failed.body).not.toContain("hunter2");
  const silent = await startTestServers({ health: { ready: () => new Promise(() => {}) } });
  expect(await httpGet(`${silent.httpUrl}/readyz`)).toMatchObject({
    status: 503,
    body: expect.stringContaining("no answer"),
  });
});

test("many probes at once ask the health source once, and again in half a second at the earliest", async () => {
  let asked = 0;
  const ready = async () => ({ ok: ++asked > 0, checks: {} });
  const { httpUrl } = await startTestServers({ health: { ready } });
  const beganMs = performance.now();
  await Promise.all(Array.from({ length: 20 }, () => httpGet(`${httpUrl}/readyz`)));
  expect(asked).toBeGreaterThan(0);
  expect(asked).toBeLessThanOrEqual(1 + (performance.now() - beganMs) / 500);
});

test("/readyz says 503 from the moment when the close is announced, while calls are still answered", async () => {
  const { httpUrl, announceClose } = await startTestServers();
  announceClose();
  const answer = await httpGet(`${httpUrl}/readyz`);
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body)).toEqual({ status: "shutting down" });
  expect(await httpGet(`${httpUrl}/healthz`)).toMatchObject({ status: 200 });
});

test("/metrics serves the registry as Prometheus text, and is unknown where there is none", async () => {
  const metrics = new Registry();
  new Counter({ name: "tests_total", help: "Tests.", registers: [metrics] }).inc(3);
  const { httpUrl } = await startTestServers({ metrics });
  const answer = await httpGet(`${httpUrl}/metrics`);
  expect(answer).toMatchObject({ status: 200, body: expect.stringContaining("tests_total 3") });
  expect(answer.headers["content-type"]).toBe(metrics.contentType);
  const without = await startTestServers();
  expect(await httpGet(`${without.httpUrl}/metrics`)).toMatchObject({ status: 404 });
});

test("the probes answer GET and HEAD alone", async () => {
  const { httpUrl } = await startTestServers({ metrics: new Registry() });
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    expect(await httpGet(httpUrl + path, { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const refused = await httpGet(httpUrl + path, { method });
      expect(refused).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
      expect(JSON.parse(refused.body)).toMatchObject({ error: { code: 405 } });
    }
  }
});
