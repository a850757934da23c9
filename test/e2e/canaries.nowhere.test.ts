import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runCli } from "../cli/cli-process.ts";
import { createCanaries, type Finding } from "../support/canaries.ts";
import { startTellwire } from "../support/tellwire.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  callByGrpcJs,
  deliver,
  publish,
  publishByNats,
  useHeaders,
  useSecrets,
  useWrongKeys,
} from "./canary-scenarios.ts";
import { type CanaryWorld, openCanaryWorld, operationalPlace } from "./canary-world.ts";

// One of them starts a process more than a dozen times. Only keeps a run from hanging.
vi.setConfig({ testTimeout: 600_000 });

const auditLog = "the audit log";
const folder = makeTemporaryFolder("canaries");
let world: CanaryWorld;
/** What the processes that have ended had written. */
let ended = "";
beforeAll(async () => {
  world = await openCanaryWorld();
});
afterAll(async () => {
  await world?.close();
  folder.remove();
});

describe("a secret, a key, a payload or an Authorization value is nowhere in what is written, and in no error", () => {
  it("when secrets of every kind are given, replaced and refused", () => useSecrets(world));
  it("when keys are wrong", () => useWrongKeys(world));
  it("when headers and URLs are refused", () => useHeaders(world));
  it("when events are published, and refused", () => publish(world));
  it("when events come by NATS, and are rejected", () => publishByNats(world));
  it("when receivers are hostile", () => deliver(world));
  it("when a call comes by another client", () => callByGrpcJs(world));

  it("when the database refuses what it is given", async () => {
    const { http, operator, organization, canary, query } = world;
    await query("alter table webhook add constraint refused check (description <> 'refused') not valid");
    await query("alter table api_key add constraint refused check (name <> 'refused') not valid");
    await query("alter table event add constraint refused check (type <> 'refused') not valid");
    const webhook = {
      url: `https://example.com/?token=${canary("a token in a refused webhook")}`,
      eventTypes: ["*"],
      description: "refused",
      headers: { authorization: canary("the header of a refused webhook") },
      config: { a: canary("the config of a refused webhook") },
      signingSecret: `whsec_${Buffer.from(canary("the secret of a refused webhook")).toString("base64")}`,
    };
    const { headers } = organization;
    expect((await http("POST", "/v1/webhooks", { headers, body: webhook })).status).toBe(500);
    await http("POST", `/v1/organizations/${organization.id}/api-keys`, {
      headers: operator,
      body: { name: "refused" },
    });
    const { text } = await http("GET", "/v1/webhooks?pageSize=1", { headers });
    const [{ id } = { id: "" }] = (JSON.parse(text) as { webhooks: { id: string }[] }).webhooks;
    const patch = { description: "refused", headers: { "x-key": canary("a header of a refused change") } };
    expect((await http("PATCH", `/v1/webhooks/${id}`, { headers, body: patch })).status).toBe(500);
    const data = canary("the payload of a refused event");
    await query("update webhook set verified_at = now(), status = 'ACTIVE'");
    expect(
      (await http("POST", `/v1/webhooks/${id}:test`, { headers, body: { eventType: "refused", data } })).status,
    ).toBe(500);
    await http("POST", "/v1/events", {
      headers,
      body: { type: "refused", data: canary("a payload that is refused later") },
    });
    await waitFor(() => world.tellwire.output().includes("REFUSED_BY_STORE"), { what: "the refusal in the log" });
    await query("alter table webhook drop constraint refused");
  });

  it("when NATS and the database are away", async () => {
    const { http, organization, canary, nats, postgres } = world;
    const { headers } = organization;
    const publishOne = () =>
      http("POST", "/v1/events", { headers, body: { type: "order.paid", data: canary("a payload during a failure") } });
    await nats.kill();
    const created = http("POST", "/v1/webhooks", {
      headers,
      body: {
        url: "https://example.com/",
        eventTypes: ["*"],
        headers: { "x-key": canary("a header during a failure") },
      },
    });
    expect((await publishOne()).status).toBeGreaterThanOrEqual(500);
    await created;
    world.keep("the readiness page", (await http("GET", "/readyz")).text);
    await nats.restart();
    await waitFor(async () => (await http("GET", "/readyz")).status === 200, { what: "NATS" });
    await publishOne();
    await postgres.kill();
    await publishOne();
    const body = {
      url: "https://example.com/",
      eventTypes: ["*"],
      headers: { "x-key": canary("a header without a database") },
    };
    expect((await http("POST", "/v1/webhooks", { headers, body })).status).toBe(503);
    await http("GET", "/v1/webhooks", {
      headers: { authorization: `Bearer twk_${canary("a key without a database")}` },
    });
    await http("GET", "/.well-known/webhooks/wh_01k3a9q7j8f0vb2m4n6p8r1s3t/jwks.json");
    world.keep("the readiness page", (await http("GET", "/readyz")).text);
    await postgres.restart();
    await waitFor(async () => (await http("GET", "/readyz")).status === 200, { what: "Postgres" });
  });

  it("when processes die, and when people are told of it", async () => {
    const { settings, canary } = world;
    await world.addStoredSecrets();
    const entries = await world.query<{ text: string }>("select audit_entry::text as text from audit_entry");
    for (const { text } of entries) world.keep(auditLog, text);
    for (const page of ["/metrics", "/healthz", "/readyz"]) world.keep(page, (await world.http("GET", page)).text);
    await world.tellwire.stop();
    ended += world.tellwire.output();
    const crash = join(folder.path, "crash.mjs");
    const carried = {
      severity: "ERROR",
      code: "23514",
      detail: canary("what an error carries"),
      params: [canary("a parameter")],
    };
    const thrown = `Object.assign(new Error("crashed on purpose\\n - detail: ${carried.detail}"), ${JSON.stringify(carried)})`;
    writeFileSync(crash, `process.on("SIGUSR2", () => setImmediate(() => { throw ${thrown}; }));\n`);
    const several = { ...settings.environment, NODE_OPTIONS: `--import=${crash}`, TELLWIRE_PROCESSES: "2" };
    world.tellwire = await startTellwire({ ...settings, environment: several });
    const [worker] = /"processes":\[(\d+)/.exec(world.tellwire.output())?.slice(1) ?? [];
    process.kill(Number(worker), "SIGUSR2");
    await waitFor(() => world.tellwire.output().includes("crashed on purpose"), { what: "the crash" });
    await waitFor(() => world.tellwire.output().includes("is up again"), { what: "the next process" });
    world.keep("/metrics of several processes", (await world.http("GET", "/metrics")).text);
    await world.tellwire.stop();
    ended += world.tellwire.output();
  });

  it("when commands fail", async () => {
    const { canary, settings, organization } = world;
    const { environment } = settings;
    const wrong = new URL(environment.TELLWIRE_DATABASE_URL ?? "");
    wrong.password = canary("a wrong password of the database");
    const credentials = join(folder.path, "nats.creds");
    writeFileSync(
      credentials,
      `-----BEGIN NATS USER JWT-----\n${canary("NATS credentials")}\n------END NATS USER JWT------\n`,
    );
    const lines = join(folder.path, "import.jsonl");
    const signingSecret = canary("a secret in a file");
    const webhook = {
      id: crypto.randomUUID(),
      organizationId: organization.id,
      url: "https://a.example/",
      eventTypes: ["*"],
      signingSecret,
    };
    writeFileSync(
      lines,
      `{"webhook":{"signingSecret":"${signingSecret}"\n${JSON.stringify({ webhook })}\n${signingSecret}\n`,
    );
    const key = Buffer.from(canary("another secrets key").slice(0, 24));
    const runs: [parameters: string[], variables: Record<string, string>][] = [
      [["serve"], { TELLWIRE_DATABASE_URL: wrong.href }],
      [["serve"], { TELLWIRE_DATABASE_URL: wrong.href, TELLWIRE_LOG_FORMAT: "pretty" }],
      [["migrate"], { TELLWIRE_DATABASE_URL: wrong.href }],
      [["serve"], { TELLWIRE_DATABASE_URL: wrong.href.replace("postgres:", "mysql:") }],
      [["serve"], { TELLWIRE_DATABASE_URL: `${wrong.href}%` }],
      [["serve"], { TELLWIRE_OPERATOR_KEY: `${canary("a bad operator's key")} x` }],
      [["serve"], { TELLWIRE_SECRETS_KEY: canary("a bad secrets key") }],
      [["serve"], { TELLWIRE_NATS_URL: `http://u:${canary("a password in a bad NATS URL")}@127.0.0.1` }],
      [["serve"], { TELLWIRE_NATS_URL: `nats://u:${canary("a password for no server")}@127.0.0.1:1` }],
      [["serve"], { TELLWIRE_NATS_CREDENTIALS: credentials }],
      [["secrets", "status"], { TELLWIRE_SECRETS_KEY: Buffer.concat([key, Buffer.alloc(8)]).toString("base64") }],
      [["secrets", "reencrypt"], { TELLWIRE_SECRETS_KEY: Buffer.concat([key, Buffer.alloc(8)]).toString("base64") }],
      [["import", lines, "--url", "http://127.0.0.1:1", "--key", canary("a key of a command")], {}],
      [["import", lines, "--dry-run"], {}],
    ];
    for (const [parameters, variables] of runs) {
      const { exitCode, stdout, stderr } = await runCli(parameters, { ...environment, ...variables });
      expect(exitCode, parameters.join(" ")).not.toBe(0);
      ended += `${stdout}${stderr}`;
    }
  });

  it("after all of that", async () => {
    expect(world.canaries.size()).toBeGreaterThan(150);
    expect(world.seen.length).toBeGreaterThan(300);
    expect(ended.length).toBeGreaterThan(200_000);
    const places = new Map(Object.entries(Object.groupBy(world.seen, ({ place }) => place)));
    for (const place of [auditLog, operationalPlace]) expect(places.get(place)?.length, place).toBeGreaterThan(20);
    const findings = [
      ...world.canaries.find("the log", ended),
      ...world.seen.flatMap(({ place, text }) => world.canaries.find(place, text)),
    ];
    // The audit log shows what a webhook's readers see of it, and its configuration is among that.
    const isShown = ({ place, canary }: Finding) => place === auditLog && /\bconfig$/.test(canary);
    expect(findings.some(isShown)).toBe(true);
    expect(distinct(findings.filter((finding) => !isShown(finding)))).toEqual([]);
  });
});

describe("the search itself", () => {
  const value = 'c4n4ry-ü"\\/<é>-0123456789';
  const bytes = Buffer.from(value);
  const surrounded = (text: string, left = "x") => Buffer.from(`${left}${text}y`);

  it.each([
    ["plain", `a ${value} b`],
    ["cut", `a ${value.slice(3, 13)} b`],
    ["in JSON", JSON.stringify({ a: value })],
    ["in JSON in JSON", JSON.stringify({ a: JSON.stringify({ b: value }) })],
    ["in JSON with escapes", JSON.stringify(value).replace(/[^ -~]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)],
    ["percent-encoded", encodeURIComponent(value)],
    ["percent-encoded whole", bytes.toString("hex").replace(/../g, "%$&")],
    ["hexadecimal", bytes.toString("hex")],
    ["upper-case hexadecimal", bytes.toString("hex").toUpperCase()],
    ["base64", bytes.toString("base64")],
    ["base64 behind one byte", surrounded(value).toString("base64")],
    ["base64 behind two bytes", surrounded(value, "xx").toString("base64")],
    ["base64url", surrounded(value, "xxx").toString("base64url")],
    ["bytes in Latin-1", bytes.toString("latin1")],
    ["a Buffer in JSON", JSON.stringify(bytes)],
  ])("a canary is found %s", (_form, text) => {
    const canaries = createCanaries();
    canaries.add("it", value);
    expect(canaries.find("here", `${"-".repeat(50)}${text}`)[0]).toMatchObject({ canary: "it", place: "here" });
    expect(canaries.find("here", "nothing of the kind, c4n4ry")).toEqual([]);
  });

  it("what a process did write is found where it was written, in the log and in an error", () => {
    const canaries = createCanaries();
    canaries.add("an event type", "order.paid");
    canaries.add("an address", world.settings.environment.TELLWIRE_ALLOW_ADDRESSES ?? "");
    canaries.add("a reason", "KEY_INVALID");
    const logged = canaries.find("the log", ended).map(({ canary }) => canary);
    expect(logged).toEqual(expect.arrayContaining(["an event type", "an address"]));
    const errors = world.seen.flatMap(({ place, text }) => canaries.find(place, text));
    expect(new Set(errors.map(({ canary }) => canary))).toContain("a reason");
  });
});

/** Each canary once for each kind of place. */
function distinct(findings: readonly Finding[]): string[] {
  const seen = new Map(findings.map((finding) => [`${finding.canary}, ${finding.place}`, finding] as const));
  return [...seen].map(([where, { form, around }]) => `${where}, ${form}: …${around}…`);
}
