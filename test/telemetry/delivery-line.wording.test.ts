import { expect, it } from "vitest";
import { type DeliveryLine, formatDeliveryLine } from "../../src/telemetry/delivery-line.ts";

const delivered: DeliveryLine = {
  outcome: "delivered",
  eventType: "order.paid",
  url: "https://example.com/hook",
  statusCode: 200,
  error: null,
  latencyMs: 12,
  attemptNumber: 1,
  deliveryId: "dlv_1",
};
const failed: DeliveryLine = {
  ...delivered,
  outcome: "retry",
  statusCode: 503,
  error: "STATUS",
  nextAttemptInMs: 5_200,
};

it.each<[string, DeliveryLine]>([
  ["delivered order.paid → https://example.com/hook 200 in 12 ms (attempt 1, dlv_1)", delivered],
  ["failed order.paid → https://example.com/hook 503 in 12 ms, next attempt in 5 s (attempt 1, dlv_1)", failed],
  [
    "failed order.paid → https://example.com/hook TIMEOUT in 15000 ms, next attempt in 5 min (attempt 2, dlv_1)",
    { ...failed, statusCode: 0, error: "TIMEOUT", latencyMs: 15_000, attemptNumber: 2, nextAttemptInMs: 300_000 },
  ],
  [
    "gave up order.paid → https://example.com/hook 500 in 12 ms (attempt 10, dlv_1)",
    { ...delivered, outcome: "exhausted", statusCode: 500, error: "STATUS", attemptNumber: 10 },
  ],
  [
    "gone order.paid → https://example.com/hook 410 in 12 ms, webhook disabled (attempt 1, dlv_1)",
    { ...delivered, outcome: "gone", statusCode: 410, error: "STATUS" },
  ],
])("%s", (text, line) => {
  expect(formatDeliveryLine(line)).toBe(text);
});

it("a query string is left out: it may hold a token", () => {
  expect(formatDeliveryLine({ ...delivered, url: "https://example.com/hook?token=hunter2" })).toContain(
    "https://example.com/hook?… 200",
  );
});

it.each([
  [900, "900 ms"],
  [119_000, "119 s"],
  [1_800_000, "30 min"],
  [7_200_000, "2 h"],
  [86_400_000, "24 h"],
])("a wait of %i ms is told as %s", (nextAttemptInMs, text) => {
  expect(formatDeliveryLine({ ...failed, nextAttemptInMs })).toContain(`next attempt in ${text} (`);
});
