import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

// docs/rest.md: each request in a block of `http`, followed by its answer in the next.

// The receiver of the page is nobody here, so that nothing is asked outside of this machine.
const text = readFileSync(new URL("../../docs/rest.md", import.meta.url), "utf8");
const page = text.replaceAll("https://shop.example.com", "https://127.0.0.1");
const blocks = [...page.matchAll(/```http\n([\s\S]*?)```/g)].map(([, block]) => parseBlock(block!));
const examples = blocks.flatMap((request, index) => (index % 2 === 0 ? [{ request, answer: blocks[index + 1]! }] : []));

let tellwire: TellwireProcess;
let key: string;
/** What a request says with a `$`: from the answers before it. */
const known: Record<string, string> = {};

beforeAll(async () => {
  tellwire = await startTellwire(tellwireSettings());
  const operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Page" });
  ({ key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, {}));
});
afterAll(async () => {
  await tellwire?.stop();
});

test("there are examples, in pairs", () => {
  expect(blocks.length % 2).toBe(0);
  expect(examples.length).toBeGreaterThan(5);
  for (const { answer } of examples) expect(answer.start).toMatch(/^HTTP\/1\.1 \d{3} /);
});

test.each(examples.map(({ request, answer }) => [request.start, answer.start, request, answer] as const))(
  "%s: %s",
  async (start, answerStart, request, answer) => {
    if (start.startsWith("PATCH")) await refreshEtag();
    const status = Number(answerStart.split(" ")[1]);
    if (start.startsWith("GET /v1/events/") && status === 200) await recorded(start, request);
    const response = await send(start, request);
    const body = (await response.json()) as { webhook?: { id: string } };
    expect([response.status, body]).toEqual([status, loosely(JSON.parse(answer.body))]);
    for (const [name, value] of Object.entries(answer.headers)) expect(response.headers.get(name)).toBe(value);
    if (body.webhook !== undefined) known.$WEBHOOK = body.webhook.id;
  },
);

function send(start: string, { headers, body }: Block): Promise<Response> {
  const [method = "", path = ""] = fill(start).split(" ");
  return fetch(`${tellwire.httpUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(body === "" ? {} : { body: fill(body) }),
  });
}

/** An event is published when the broker has it, and is read once it has been dispatched. */
async function recorded(start: string, request: Block): Promise<void> {
  const isFound = async () => {
    const response = await send(start, request);
    await response.text();
    return response.ok;
  };
  await waitFor(isFound, { what: `${start} to find the event` });
}

/** The verification that begins by itself fails here, and changes the webhook by that: it is waited for. */
async function refreshEtag(): Promise<void> {
  const rest = createRestClient(tellwire.httpUrl, key);
  known.$ETAG = await waitFor(
    async () => {
      const { etag, statusReason } = await rest<Record<string, string>>("GET", `/v1/webhooks/${known.$WEBHOOK}`);
      return statusReason?.includes("challenge") && etag;
    },
    { what: "the failure of the verification" },
  );
}

interface Block {
  start: string;
  headers: Record<string, string>;
  body: string;
}

function parseBlock(text: string): Block {
  const [head = "", ...rest] = text.split("\n\n");
  const [start = "", ...lines] = head.trim().split("\n");
  const headers = Object.fromEntries(lines.map((line) => line.split(": ") as [string, string]));
  return { start, headers, body: rest.join("\n\n").trim() };
}

function fill(text: string): string {
  return text.replace(/\$[A-Z]+/g, (name) => known[name] ?? name);
}

/** The same value, where `…` in a text stands for anything. */
function loosely(value: unknown): unknown {
  if (typeof value === "string" && value.includes("…")) {
    const parts = value.split("…").map((part) => part.replace(/[^\w\s]/g, "\\$&"));
    return expect.stringMatching(new RegExp(`^${parts.join("[^]+")}$`));
  }
  if (Array.isArray(value)) return value.map(loosely);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, loosely(each)]));
}
