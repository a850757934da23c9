import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

interface Document {
  paths: Record<string, Record<string, { responses?: Record<string, { headers: Record<string, object> }> }>>;
  components: { headers: Record<string, object> };
}

describe.each(["layer", "verifik", "layers"])("the generated document of %s", (name) => {
  const url = new URL(`../../gen/openapi/${name}.json`, import.meta.url);
  const document = JSON.parse(readFileSync(url, "utf8")) as Document;
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  const answers = operations.flatMap(({ responses = {} }) => Object.entries(responses));
  const headersOf = (wanted: string) =>
    answers.filter(([status]) => status === wanted).map(([, { headers }]) => Object.keys(headers));

  test("tells of the limits on every answer to somebody who is known", () => {
    expect(answers.length).toBeGreaterThan(20);
    for (const [status, { headers }] of answers) {
      const limits = ["RateLimit-Policy", "RateLimit"];
      if (status === "401") expect(Object.keys(headers)).toEqual(["WWW-Authenticate"]);
      else expect(Object.keys(headers), status).toEqual(expect.arrayContaining(limits));
    }
  });

  test("says that whoever calls too often is told for how long to wait", () => {
    const calledTooOften = headersOf("429");
    expect(calledTooOften).toHaveLength(headersOf("401").length);
    for (const names of calledTooOften) expect(names).toContain("Retry-After");
  });

  test("has every header that it refers to, and no other", () => {
    const named = [...JSON.stringify(document).matchAll(/"#\/components\/headers\/(\w+)"/g)].map(([, each]) => each);
    expect(new Set(named)).toEqual(new Set(Object.keys(document.components.headers)));
  });
});
