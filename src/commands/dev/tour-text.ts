import type { DemoResult } from "./demo.ts";
import { demoFilePath } from "./demo-file.ts";

export interface TourInput {
  app: { httpUrl: string; grpcUrl: string };
  result: DemoResult;
  /** From the start of the program until the first delivery was verified. */
  firstDeliveryMs: number;
  dataDir: string;
  receiverUrl: string;
}

/** What a newcomer sees when everything runs: what happened, where things are, and three lines to copy. */
export function tourText({ app, result, firstDeliveryMs, dataDir, receiverUrl }: TourInput): string {
  const { apiKey, organizationId, webhookId } = result;
  return `
${headline(result, firstDeliveryMs)}

  REST, Connect, gRPC-Web   ${app.httpUrl}
  gRPC                      ${app.grpcUrl}
  demo receiver             ${receiverUrl}
  demo organization         ${organizationId}
  demo webhook              ${webhookId}
  API key                   ${apiKey}
  data                      ${dataDir} (key and signing secret: ${demoFilePath(dataDir)})

Create a webhook, publish an event, look at the deliveries:

${curlLines({ httpUrl: app.httpUrl, receiverUrl, result }).join("\n\n")}

Each delivery is logged below. Ctrl-C stops.

`;
}

/** Three commands for a POSIX shell that work as they stand, in this order. */
function curlLines({ httpUrl, receiverUrl, result }: CurlInput): [string, string, string] {
  const authorization = `-H 'authorization: Bearer ${result.apiKey}'`;
  const webhook = { url: `${receiverUrl}/orders`, eventTypes: ["order.*"], signingSecret: result.signingSecret };
  const event = { type: "order.paid", data: { order: "A-1042", amount: 4200 } };
  const post = (path: string, body: object) =>
    `curl -sS ${httpUrl}${path} ${authorization} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
  return [
    post("/v1/webhooks", webhook),
    post("/v1/events", event),
    `curl -sS '${httpUrl}/v1/deliveries?pageSize=5' ${authorization}`,
  ];
}

interface CurlInput {
  httpUrl: string;
  receiverUrl: string;
  result: Pick<DemoResult, "apiKey" | "signingSecret">;
}

function headline({ delivery }: DemoResult, firstDeliveryMs: number): string {
  if ("skipped" in delivery) return `Tellwire is up. No event was published: ${delivery.skipped}`;
  const seconds = (firstDeliveryMs / 1000).toFixed(1);
  return `Tellwire is up. The first event was delivered and its signature verified ${seconds} s after the start (${delivery.eventId}).`;
}
