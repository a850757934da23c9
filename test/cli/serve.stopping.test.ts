import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { startCli } from "./cli-process.ts";

const folder = makeTemporaryFolder("serve");
afterAll(() => folder.remove());

const variables = {
  TELLWIRE_DATA_DIR: join(folder.path, "data"),
  TELLWIRE_HTTP_ADDR: "127.0.0.1:0",
  TELLWIRE_GRPC_ADDR: "127.0.0.1:0",
};

it.each(["SIGTERM", "SIGINT"] as const)(
  "%s closes the service in good order, and a next start finds its folder free",
  async (signal) => {
    const serve = startCli([], variables);
    const [, entry] = await serve.waitForOutput(/^(.*"msg":"tellwire is up".*)$/m);
    const { http } = JSON.parse(entry ?? "") as { http: string };
    expect((await fetch(`${http}/healthz`)).status).toBe(200);
    serve.kill(signal);
    expect(await serve.exitCode).toBe(0);
    expect(serve.stdout()).toContain('"msg":"tellwire is closed"');
    expect(serve.stderr()).toBe("");
  },
);

it("the start log shows the configuration, and that operator calls are refused without an operator's key", async () => {
  const serve = startCli(["serve"], variables);
  await serve.waitForOutput(/"msg":"tellwire is up"/);
  serve.kill("SIGTERM");
  expect(await serve.exitCode).toBe(0);
  expect(serve.stdout()).toContain('"TELLWIRE_SECRETS_KEY":"not set"');
  expect(serve.stdout()).toContain("operator calls are refused: TELLWIRE_OPERATOR_KEY is not set");
});
