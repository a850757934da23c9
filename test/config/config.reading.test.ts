import { describe, expect, it } from "vitest";
import { describeConfig, readConfig } from "../../src/config.ts";
import { TellwireError } from "../../src/errors.ts";

const secretsKey = Buffer.alloc(32, 7).toString("base64");
const server = { TELLWIRE_DATABASE_URL: "postgres://tellwire:hunter2@db/tellwire", TELLWIRE_SECRETS_KEY: secretsKey };

function violationsOf(environment: Record<string, string>, command: "serve" | "dev" | "migrate" = "serve") {
  try {
    readConfig(command, environment);
  } catch (error) {
    if (error instanceof TellwireError)
      return error.fieldViolations.map(({ field, description }) => `${field} ${description}`);
    throw error;
  }
  return [];
}

describe("defaults", () => {
  it("without variables Tellwire is embedded and listens on the loopback interface only", () => {
    const config = readConfig("serve", {});
    expect(config.httpAddress).toEqual({ host: "127.0.0.1", port: 8080, text: "127.0.0.1:8080" });
    expect(config.grpcAddress).toEqual({ host: "127.0.0.1", port: 9090, text: "127.0.0.1:9090" });
    expect(config).toMatchObject({
      databaseUrl: undefined,
      natsServers: [],
      dataDir: "./.tellwire",
      autoMigrate: true,
    });
  });

  it("the default retry schedule is 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h", () => {
    const hours = [2, 5, 10, 14, 20, 24].map((count) => count * 3_600_000);
    expect(readConfig("serve", {}).retryDelaysMs).toEqual([5_000, 300_000, 1_800_000, ...hours]);
  });

  it("an empty variable is as good as none", () => {
    expect(readConfig("serve", { TELLWIRE_HTTP_ADDR: "", TELLWIRE_DATABASE_URL: " " })).toEqual(
      readConfig("serve", {}),
    );
  });

  it("other programs' variables are not looked at", () => {
    expect(violationsOf({ PATH: "/bin", TELLWIREX: "1", TELLWIRE_TEST_NATS_URL: "nats://x" })).toEqual([]);
  });

  it("the switch of Node that turns certificates' verification off stops the start", () => {
    for (const command of ["serve", "dev", "migrate"] as const) {
      expect(violationsOf({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, command)).toEqual([
        expect.stringMatching(/^NODE_TLS_REJECT_UNAUTHORIZED must not be 0: .*NODE_EXTRA_CA_CERTS/),
      ]);
    }
    expect(violationsOf({ NODE_TLS_REJECT_UNAUTHORIZED: "1", NODE_EXTRA_CA_CERTS: "/etc/own-ca.pem" })).toEqual([]);
  });

  it("a database server is not migrated unless it is asked for", () => {
    expect(readConfig("serve", server).autoMigrate).toBe(false);
    expect(readConfig("serve", { ...server, TELLWIRE_AUTO_MIGRATE: "true" }).autoMigrate).toBe(true);
  });

  it("development allows http and loopback receivers, and adds to the ranges that are set", () => {
    const config = readConfig("dev", { TELLWIRE_ALLOW_ADDRESSES: "10.0.0.0/8" });
    expect(config).toMatchObject({ allowHttp: true, autoMigrate: true, logFormat: "pretty" });
    expect(config.allowAddresses).toEqual(["10.0.0.0/8", "127.0.0.0/8", "::1/128"]);
    expect(readConfig("dev", { TELLWIRE_LOG_FORMAT: "json" }).logFormat).toBe("json");
    expect(readConfig("serve", {})).toMatchObject({ allowHttp: false, allowAddresses: [] });
  });
});

describe("values", () => {
  it.each([
    ["0.0.0.0:80", { host: "0.0.0.0", port: 80 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["[::1]:8080", { host: "::1", port: 8080 }],
    [":8080", { host: undefined, port: 8080 }],
  ])("the address %s is understood", (text, address) => {
    expect(readConfig("serve", { TELLWIRE_HTTP_ADDR: text }).httpAddress).toEqual({ ...address, text });
  });

  it.each(["8080", "localhost", "::1:8080", "127.0.0.1:65536", "http://127.0.0.1:80", "[::1]", "a b:80"])(
    "the address %s is refused",
    (text) => {
      expect(violationsOf({ TELLWIRE_HTTP_ADDR: text })).toEqual([
        expect.stringMatching(/^TELLWIRE_HTTP_ADDR must be host:port, such as 127\.0\.0\.1:8080/),
      ]);
    },
  );

  it("waiting times take ms, s, m, h and d", () => {
    const config = readConfig("serve", { TELLWIRE_RETRY_DELAYS: "100ms, 2s,3m,4h,1d" });
    expect(config.retryDelaysMs).toEqual([100, 2_000, 180_000, 14_400_000, 86_400_000]);
  });

  it.each(["5", "5x", "-1s", "5s,,6s", "99ms", "8d", "1.5s", ","])("the waiting times %s are refused", (text) => {
    expect(violationsOf({ TELLWIRE_RETRY_DELAYS: text })).toHaveLength(1);
  });

  it.each([
    ["TELLWIRE_DATABASE_MAX_CONNECTIONS", "1"],
    ["TELLWIRE_MAX_PAYLOAD_BYTES", "0"],
    ["TELLWIRE_MAX_BODY_BYTES", "4MB"],
    ["TELLWIRE_DELIVERY_TIMEOUT_MS", "60001"],
    ["TELLWIRE_CONCURRENCY_PER_WEBHOOK", "0"],
    ["TELLWIRE_SHUTDOWN_GRACE_MS", "-1"],
    ["TELLWIRE_ALLOW_HTTP", "yes"],
    ["TELLWIRE_LOG_LEVEL", "verbose"],
    ["TELLWIRE_LOG_FORMAT", "text"],
    ["TELLWIRE_ALLOW_PORTS", "0"],
    ["TELLWIRE_DENY_ADDRESSES", "10.0.0.0/33"],
    ["TELLWIRE_ALLOW_ADDRESSES", "example.com"],
    ["TELLWIRE_NATS_URL", "http://127.0.0.1:4222"],
    ["TELLWIRE_PUBLIC_URL", "webhooks.example.com"],
    ["TELLWIRE_OPERATOR_KEY", "short"],
  ])("%s=%s is refused by name", (name, text) => {
    expect(violationsOf({ [name]: text })).toEqual([expect.stringMatching(new RegExp(`^${name} must be `))]);
  });

  it("several NATS servers and several secrets keys keep their order", () => {
    const older = Buffer.alloc(32, 8).toString("base64");
    const config = readConfig("serve", {
      ...server,
      TELLWIRE_NATS_URL: "nats://a:4222, tls://b:4222",
      TELLWIRE_SECRETS_KEY: `${secretsKey},${older}`,
    });
    expect(config.natsServers).toEqual(["nats://a:4222", "tls://b:4222"]);
    expect(config.secretsKeys.map(([first]) => first)).toEqual([7, 8]);
  });

  it("the configuration cannot be changed", () => {
    const config = readConfig("serve", { TELLWIRE_ALLOW_ADDRESSES: "10.0.0.0/8" });
    expect(() => Object.assign(config, { dataDir: "/" })).toThrow(TypeError);
    expect(() => Object.assign(config.httpAddress, { port: 1 })).toThrow(TypeError);
    expect(() => (config.allowAddresses as string[]).push("0.0.0.0/0")).toThrow(TypeError);
  });
});

describe("errors", () => {
  it("an unknown variable is refused with the nearest name", () => {
    expect(violationsOf({ TELLWIRE_HTTP_ADRR: ":80", TELLWIRE_NATS_URLS: "nats://a:1" })).toEqual([
      "TELLWIRE_HTTP_ADRR is not a variable of Tellwire: did you mean TELLWIRE_HTTP_ADDR?",
      "TELLWIRE_NATS_URLS is not a variable of Tellwire: did you mean TELLWIRE_NATS_URL?",
    ]);
  });

  it("every error is told at once", () => {
    const fields = violationsOf({
      TELLWIRE_HTTP_ADDR: "x",
      TELLWIRE_GRPC_ADDR: "y",
      TELLWIRE_LOG_LEVELS: "info",
      TELLWIRE_TLS_CERT: "/cert.pem",
      TELLWIRE_DATABASE_URL: "postgres://db/tellwire",
    }).map((text) => text.split(" ")[0]);
    expect(fields.sort()).toEqual([
      "TELLWIRE_GRPC_ADDR",
      "TELLWIRE_HTTP_ADDR",
      "TELLWIRE_LOG_LEVELS",
      "TELLWIRE_SECRETS_KEY",
      "TELLWIRE_TLS_KEY",
    ]);
  });

  it("a certificate needs its key, and a key its certificate", () => {
    expect(violationsOf({ TELLWIRE_TLS_CERT: "a" })[0]).toMatch(/^TELLWIRE_TLS_KEY must be set/);
    expect(violationsOf({ TELLWIRE_TLS_KEY: "a" })[0]).toMatch(/^TELLWIRE_TLS_CERT must be set/);
    expect(readConfig("serve", { TELLWIRE_TLS_CERT: "a", TELLWIRE_TLS_KEY: "b" }).tls).toEqual({
      certPath: "a",
      keyPath: "b",
    });
  });

  it("the service needs a secrets key for a database server, and is told how to make one; the others do not", () => {
    const { TELLWIRE_DATABASE_URL } = server;
    expect(violationsOf({ TELLWIRE_DATABASE_URL })).toEqual([expect.stringContaining("openssl rand -base64 32")]);
    expect(violationsOf({ TELLWIRE_DATABASE_URL }, "migrate")).toEqual([]);
    expect(violationsOf({ TELLWIRE_DATABASE_URL }, "dev")).toEqual([]);
  });

  it("a body limit below the payload limit is refused", () => {
    expect(violationsOf({ TELLWIRE_MAX_PAYLOAD_BYTES: "2048", TELLWIRE_MAX_BODY_BYTES: "2047" })).toEqual([
      expect.stringMatching(/^TELLWIRE_MAX_BODY_BYTES must not be less/),
    ]);
  });

  it("a secret that is wrong is not repeated", () => {
    const text = violationsOf({
      TELLWIRE_DATABASE_URL: "mysql://root:hunter2@db",
      TELLWIRE_OPERATOR_KEY: "hunter2",
      TELLWIRE_SECRETS_KEY: "hunter2",
      TELLWIRE_NATS_URL: "http://user:hunter2@nats",
    }).join();
    expect(text).toMatch(/TELLWIRE_DATABASE_URL.*TELLWIRE_NATS_URL.*TELLWIRE_OPERATOR_KEY.*TELLWIRE_SECRETS_KEY/);
    expect(text).not.toContain("hunter2");
  });
});

describe("description", () => {
  it("secrets are shown as set or not set, and addresses without passwords", () => {
    const described = describeConfig(
      readConfig("serve", {
        ...server,
        TELLWIRE_OPERATOR_KEY: "hunter2-hunter2-hunter2-hunter2",
        TELLWIRE_NATS_URL: "nats://user:hunter2@nats:4222",
      }),
    );
    expect(described).toMatchObject({
      TELLWIRE_DATABASE_URL: "set",
      TELLWIRE_OPERATOR_KEY: "set",
      TELLWIRE_SECRETS_KEY: "set",
      TELLWIRE_NATS_URL: "nats://nats:4222",
    });
    expect(JSON.stringify(described)).not.toMatch(/hunter2|BwcH/);
    expect(describeConfig(readConfig("serve", {}))).toMatchObject({
      TELLWIRE_DATABASE_URL: "not set",
      TELLWIRE_OPERATOR_KEY: "not set",
      TELLWIRE_SECRETS_KEY: "not set",
    });
  });
});
