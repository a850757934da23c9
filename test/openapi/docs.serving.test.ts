import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDocsHandler } from "../../src/openapi/docs-handler.ts";
import { readDocument } from "./document-schemas.ts";

const warnings: string[] = [];
const server = createServer();
let origin: string;

beforeAll(async () => {
  const log = { warn: (message: string) => warnings.push(message) };
  const handle = await createDocsHandler({ title: "Reference", errorDomain: "test", log });
  // Who asks ends idle connections, and the server none at the moment of the next question.
  server.keepAliveTimeout = 0;
  server.on("request", (request, response) => {
    if (handle(request, response) === undefined) response.writeHead(418).end("left alone");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** What the page names, as a browser would ask for it. */
async function namesInPage(page = "/docs"): Promise<string[]> {
  const html = await (await fetch(`${origin}${page}`)).text();
  return [...html.matchAll(/(?:src|href|data-document)="([^"]+)"/g)].map(
    ([, name]) => new URL(name!, `${origin}${page}`).href,
  );
}

describe("the document", () => {
  test("is served as it was generated", async () => {
    const response = await fetch(`${origin}/openapi.json`);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual(readDocument());
    expect(warnings).toEqual([]);
  });

  test("is not sent again to who has it", async () => {
    const etag = (await fetch(`${origin}/openapi.json`)).headers.get("etag")!;
    const again = await fetch(`${origin}/openapi.json`, { headers: { "if-none-match": `"other", ${etag}` } });
    expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
    const other = await fetch(`${origin}/openapi.json`, { headers: { "if-none-match": '"other"' } });
    expect(other.status).toBe(200);
  });

  test("is compressed for who takes that, and its length is that of what is sent", async () => {
    const plain = await fetch(`${origin}/openapi.json`, { headers: { "accept-encoding": "identity" } });
    expect(plain.headers.get("content-encoding")).toBeNull();
    expect(plain.headers.get("vary")).toBe("accept-encoding");
    const text = await plain.text();
    expect(plain.headers.get("content-length")).toBe(`${Buffer.byteLength(text)}`);
    // Undici's fetch takes the coding off; a HEAD shows what it was.
    const head = await fetch(`${origin}/openapi.json`, { method: "HEAD", headers: { "accept-encoding": "gzip" } });
    expect(head.headers.get("content-encoding")).toBe("gzip");
    expect(Number(head.headers.get("content-length"))).toBeLessThan(text.length / 4);
    expect(await head.text()).toBe("");
    const zipped = await fetch(`${origin}/openapi.json`, { headers: { "accept-encoding": "gzip" } });
    expect(await zipped.text()).toBe(text);
  });
});

describe("the reference page", () => {
  test("lets scripts and connections be of its own origin alone, and none stand in the page", async () => {
    const response = await fetch(`${origin}/docs`);
    const policy = response.headers.get("content-security-policy")!.split("; ");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy.join()).not.toMatch(/unsafe|\*|http/);
    const html = await response.text();
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=/);
  });

  test("everything that it names is served from here, with its type, and never changes", async () => {
    const names = (await namesInPage()).filter((name) => /\.(js|css|png)$/.test(name));
    expect(names).toHaveLength(4);
    const types: Record<string, string> = {
      js: "text/javascript; charset=utf-8",
      css: "text/css; charset=utf-8",
      png: "image/png",
    };
    for (const name of names) {
      expect(name.startsWith(`${origin}/docs/`)).toBe(true);
      const response = await fetch(name);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe(types[name.split(".").at(-1)!]);
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("cache-control")).toContain("immutable");
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100);
    }
  });

  test("shows the document that is served here", async () => {
    expect(await namesInPage()).toContain(`${origin}/openapi.json`);
  });

  test.each(["layer", "verifik", "layers"])(
    "of %s shows the dialect's document, and leads to the others",
    async (name) => {
      const names = await namesInPage(`/docs/${name}`);
      const pages = ["/docs", "/docs/layer", "/docs/verifik", "/docs/layers"].map((path) => `${origin}${path}`);
      expect(names).toEqual(expect.arrayContaining([`${origin}/openapi/${name}.json`, ...pages]));
      for (const url of names) {
        expect((await fetch(url)).status, url).toBe(200);
      }
      const document = await (await fetch(`${origin}/openapi/${name}.json`)).json();
      expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\./) });
    },
  );

  test("a slash at the end leads to it", async () => {
    const response = await fetch(`${origin}/docs/`);
    expect(response.url).toBe(`${origin}/docs`);
    expect(response.status).toBe(200);
  });
});

test("another method is refused with what is allowed", async () => {
  const response = await fetch(`${origin}/docs`, { method: "POST", body: "x" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  expect(await response.json()).toMatchObject({ error: { status: "UNIMPLEMENTED", details: [{ domain: "test" }] } });
});

test.each(["/", "/v1/webhooks", "/docs/../package.json", "/docs/missing.js", "/openapi.json/x"])(
  "%s is left to others",
  async (path) => {
    expect((await fetch(`${origin}${path}`)).status).toBe(418);
  },
);
