import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { layerErrors } from "../../src/dialects/layer/layer-errors.ts";
import { layerDocument } from "../../src/dialects/layer/openapi.ts";
import { formatOf } from "../../src/domain/formats/catalogue.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";

interface Operation {
  requestBody?: { content: Record<string, { example: unknown; schema: object }> };
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}
interface Document {
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, Record<string, Operation>>;
}

const document = layerDocument("1.2.3") as unknown as Document;
const methods = ["get", "post", "put", "patch", "delete"];
const ajv = new Ajv2020({ strict: false, logger: false });
ajv.addSchema(document, "document");
const isValid = (schema: object, value: unknown) => ajv.validate(absolute(schema), value);

/** A schema of the document, with references that lead into it. */
function absolute(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object;
}

describe("the document of Layer's API", () => {
  it("has every route that is served, and no other", () => {
    const options = { publicUrl: undefined, scheme: "http" } as const;
    const served = createLayerDialect({} as UseCases, options).routes.map(({ method, path }) => `${method} ${path}`);
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((name) => methods.includes(name))
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(served.sort());
    expect(document.info.version).toBe("1.2.3");
  });

  it("has every error under the status that it is answered with", () => {
    const text = JSON.stringify(document.paths);
    const everywhere = ["invalid_endpoint", "method_not_allowed"];
    for (const [id, { code, status }] of Object.entries(layerErrors)) {
      if (everywhere.includes(id)) continue;
      expect(text).toMatch(new RegExp(`"${status}":\\{"description":"[^"]*\`${id}\` \\(${code}\\)`));
    }
  });

  it("accepts its own examples, and refuses what the server refuses", () => {
    const { example, schema } = document.paths["/apps/{app}/webhooks"]!.post!.requestBody!.content["application/json"]!;
    expect(isValid(schema, example)).toBe(true);
    expect(isValid(schema, { ...(example as object), events: [] })).toBe(false);
    expect(isValid(schema, { ...(example as object), secret: undefined })).toBe(false);
    const preRelease = { target_url: "https://a.example", event_types: ["user.registered"], secret: "s" };
    expect(isValid(schema, preRelease)).toBe(true);
  });

  it("describes the body that receivers get", () => {
    const { content } = document.webhooks.event!.post!.requestBody!;
    for (const [version, format] of [
      ["1.0", "LAYER_1_0"],
      ["3.0", "LAYER_3_0"],
    ] as const) {
      const { body, contentType } = formatOf(format).encode(
        {
          id: "evt_01h455vb4pex5vsknk084sn02q",
          uuid: "01890a5d-ac96-774b-bcce-b302099a8057",
          type: "message.sent",
          occurredAt: new Date(0),
          dataJson: '{"message":{},"actor":{"user_id":"1"}}',
          organizationId: "org_01h455vb4pex5vsknk084sn02q",
        },
        '{"a":1}',
      );
      expect(contentType).toContain(version);
      const { schema, example } = content[contentType]!;
      const sent = JSON.parse(body.toString()) as object;
      expect(isValid(schema, sent)).toBe(true);
      expect(Object.keys(sent)).toEqual(Object.keys(example as object));
    }
  });
});
