import { randomBytes } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import pg from "pg";
import { isOperationalEventType } from "../../src/domain/operational-event.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { type Canaries, createCanaries } from "../support/canaries.ts";
import { type PrivateNats, patienceMs, startNats } from "../support/nats.ts";
import { type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { createSearchedCalls, type HttpCall, type SearchedCalls } from "../support/searched-calls.ts";
import { startTellwire, type TellwireProcess, type TellwireSettings, tellwireSettings } from "../support/tellwire.ts";
import { type HostileReceiver, startHostileReceiver } from "./hostile-receiver.ts";

/** A deployment all of whose secrets are canaries, and everything that it has written since. */
export interface CanaryWorld extends SearchedCalls {
  canaries: Canaries;
  postgres: PostgresServer;
  nats: PrivateNats;
  receiver: HostileReceiver;
  settings: TellwireSettings;
  tellwire: TellwireProcess;
  operator: HttpCall["headers"] & {};
  organization: { id: string; uuid: string; headers: Record<string, string> };
  /** Of the organization. */
  portalToken: string;
  /** A statement on the database, by its owner. */
  query<Row>(text: string, parameters?: unknown[]): Promise<Row[]>;
  /** A new value that must stay inside, made of letters and digits. */
  canary(name: string): string;
  /** Each secret in the database, those that were made by the service too, is a canary from now on. */
  addStoredSecrets(): Promise<void>;
  close(): Promise<void>;
}

/** Payloads and header values have characters that each form writes in its own way. */
export const special = 'ü"\\/<é>';

export async function openCanaryWorld(): Promise<CanaryWorld> {
  const canaries = createCanaries();
  const canary = (name: string): string => {
    const value = `c4n4ry${randomBytes(36).toString("base64").replace(/[+/]/g, "").slice(0, 30)}`;
    canaries.add(name, value);
    return value;
  };
  const [postgres, nats, receiver] = await Promise.all([startPostgresServer(), startNats(), startHostileReceiver()]);
  const query = async <Row>(url: string, text: string, parameters: unknown[] = []): Promise<Row[]> => {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(text, parameters)).rows as Row[];
    } finally {
      await client.end();
    }
  };
  const databasePassword = canary("the database's password");
  await query(postgres.url, `create role canary superuser login password '${databasePassword}'`);
  await query(postgres.url, "create database canaries owner canary");
  const databaseUrl = new URL(postgres.url);
  Object.assign(databaseUrl, { username: "canary", password: databasePassword, pathname: "/canaries" });
  const natsUrl = new URL(nats.url);
  Object.assign(natsUrl, { username: "canary", password: canary("the password of NATS") });
  const keys = [randomBytes(32), randomBytes(32)];
  for (const key of keys) canaries.add("TELLWIRE_SECRETS_KEY", key);
  const settings = tellwireSettings({
    TELLWIRE_DATABASE_URL: databaseUrl.href,
    TELLWIRE_NATS_URL: natsUrl.href.replace(/\/$/, ""),
    TELLWIRE_OPERATOR_KEY: canary("the operator's key"),
    TELLWIRE_SECRETS_KEY: keys.map((key) => key.toString("base64")).join(","),
    TELLWIRE_LOG_LEVEL: "trace",
    TELLWIRE_RETRY_DELAYS: "100ms,100ms",
    TELLWIRE_DELIVERY_TIMEOUT_MS: "1000",
  });
  const operatorKey = settings.environment.TELLWIRE_OPERATOR_KEY ?? "";
  const running = { tellwire: await startTellwire(settings) };
  const world = Object.assign(
    running,
    createSearchedCalls(() => running.tellwire.httpUrl),
  );
  const closeTap = await tapNats(nats.url, world.keep);
  const operator = { authorization: `Bearer ${operatorKey}` };
  const created = await world.http("POST", "/v1/organizations", { headers: operator, body: { name: "Canaries" } });
  const { id } = JSON.parse(created.text) as { id: string };
  const made = await world.http("POST", `/v1/organizations/${id}/api-keys`, {
    headers: operator,
    body: { name: "key" },
  });
  const { key } = JSON.parse(made.text) as { key: string };
  // The first characters are shown, so that keys can be told apart.
  canaries.add("an API key", key.slice(12));
  const [{ uuid } = { uuid: "" }] = await query<{ uuid: string }>(
    databaseUrl.href,
    "select id as uuid from organization",
  );
  const portalToken = await world.http("POST", `/v1/organizations/${id}/portal-tokens`, {
    headers: operator,
    body: {},
  });
  const { token } = JSON.parse(portalToken.text) as { token: string };
  // Its last part is the signature, without which it opens nothing.
  canaries.add("a portal token", token.split(".").at(-1) ?? "");
  const box = createSecretBox({ keys });
  return Object.assign(world, {
    canaries,
    postgres,
    nats,
    receiver,
    settings,
    operator,
    portalToken: token,
    organization: { id, uuid, headers: { authorization: `Bearer ${key}` } },
    query: <Row>(text: string, parameters?: unknown[]) => query<Row>(databaseUrl.href, text, parameters),
    canary,
    async addStoredSecrets() {
      const rows = await query<{ sealed: Buffer; webhook_id: string }>(
        databaseUrl.href,
        "select sealed, webhook_id from webhook_secret",
      );
      for (const { sealed, webhook_id: webhookId } of rows) {
        const text = box.open(sealed, webhookId);
        const [, , base64] = /^(whsec|whsk)_([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
        if (text.length >= 10) canaries.add("a signing secret", text.replace(/^whs(ec|k)_/, ""));
        // Of a key pair the second half is public.
        const bytes = Buffer.from(base64 ?? "", "base64").subarray(0, 32);
        if (bytes.length >= 10) canaries.add("a signing secret", bytes);
      }
    },
    async close() {
      await world.tellwire.stop();
      await closeTap();
      await receiver.close();
      await nats.stop();
      await postgres.stop();
    },
  });
}

/** What a body on NATS is about Tellwire itself: those hold no payload of a publisher. */
export const operationalPlace = "an event about Tellwire on NATS";

/** Keeps the subject and the headers of every message, and the bodies that are no payloads. Returns what ends it. */
async function tapNats(url: string, keep: SearchedCalls["keep"]): Promise<() => Promise<void>> {
  const connection = await connect({
    servers: url,
    timeout: patienceMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  connection.subscribe("tellwire.>", {
    callback: (_error, message) => {
      const { subject, headers } = message;
      const lines = [...(headers ?? [])].map(([name, values]) => `${name}: ${values.join()}`);
      keep("the headers of a message on NATS", [subject, ...lines].join("\n"));
      const [, kind, , ...type] = subject.split(".");
      if (kind === "events" && isOperationalEventType(type.join("."))) keep(operationalPlace, message.string());
    },
  });
  return () => connection.close();
}
