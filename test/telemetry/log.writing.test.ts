import { describe, expect, it } from "vitest";
import { createLog } from "../../src/telemetry/log.ts";

function logTo(format: "json" | "pretty", level: "debug" | "info" = "info") {
  const lines: string[] = [];
  const output = { write: (line: string) => void lines.push(line) };
  return { log: createLog({ level, format, output }), lines };
}

const secrets = [
  "authorization",
  "x-api-key",
  "secret",
  "signing_secret",
  "signingSecret",
  "key",
  "operatorKey",
  "databaseUrl",
];

describe("json", () => {
  it("an entry is one object with a time, a level and a message", () => {
    const { log, lines } = logTo("json");
    log.info({ webhookId: "wh_1" }, "webhook verified");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      webhookId: "wh_1",
      msg: "webhook verified",
    });
  });

  it("an error is written with its stack", () => {
    const { log, lines } = logTo("json");
    log.error({ err: new Error("boom") }, "failed");
    expect(JSON.parse(lines[0]!).err).toMatchObject({ message: "boom", stack: expect.stringContaining("log.writing") });
  });

  it("entries below the level are not written", () => {
    const { log, lines } = logTo("json");
    log.debug("quiet");
    expect(lines).toEqual([]);
  });
});

describe.each(["json", "pretty"] as const)("redaction in %s", (format) => {
  it.each(secrets)("a field named %s is never written, also inside of others", (name) => {
    const { log, lines } = logTo(format);
    log.info({ [name]: "hunter2" }, "one");
    log.info({ request: { [name]: "hunter2" } }, "two");
    log.info({ request: { headers: { [name]: "hunter2", accept: "kept" } } }, "three");
    expect(lines.join("")).not.toContain("hunter2");
    expect(lines.join("").match(/\[redacted\]/g)).toHaveLength(3);
    expect(lines.join("")).toContain("kept");
  });
});

describe("pretty", () => {
  it("an entry is a line with time, level, message and fields", () => {
    const { log, lines } = logTo("pretty");
    log.warn({ webhookId: "wh_1", count: 3, reason: "two words" }, "webhook disabled");
    expect(lines.join("")).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}webhook disabled {2}webhookId=wh_1 {2}count=3 {2}reason="two words"\n$/,
    );
  });

  it("an error's stack follows on lines of its own", () => {
    const { log, lines } = logTo("pretty");
    log.error({ err: new Error("boom") }, "failed");
    const [first, second, third] = lines.join("").split("\n");
    expect(first).toMatch(/ error failed$/);
    expect(second).toBe("    Error: boom");
    expect(third).toMatch(/^ {8}at /);
  });

  it("what a receiver says cannot write to the terminal, nor begin a line", () => {
    const { log, lines } = logTo("pretty");
    log.info({ body: "a\n12:00:00.000 info  fake\u001b[2J" }, "said \u001b[31mred\nand more");
    const text = lines.join("");
    expect(text.trimEnd().split("\n")).toHaveLength(1);
    expect(text).not.toContain("\u001b");
  });
});
