import { expect, it } from "vitest";
import { readLayerAccept } from "../../src/dialects/layer/layer-accept.ts";

const own = "application/vnd.layer.webhooks+json";

it.each([
  [`${own}; version=1.0`, "1.0"],
  [`${own}; version=2.0`, "2.0"],
  [`${own};version=3.0`, "3.0"],
  [`Application/VND.layer.webhooks+JSON; Version="2.0"; q=0.9`, "2.0"],
  [`text/html, ${own}; version=1.0; q=0.5`, "1.0"],
  [`${own}; version=9.0, ${own}; version=1.0`, "1.0"],
])("%s speaks version %s", (accept, version) => {
  expect(readLayerAccept(accept)).toEqual({ kind: "acceptable", version });
});

it.each([[undefined], [""], ["*/*"], ["application/json"], ["application/*"], ["application/json, text/plain, */*"]])(
  "%s is served without a version",
  (accept) => {
    expect(readLayerAccept(accept)).toEqual({ kind: "acceptable", version: undefined });
  },
);

it.each([
  [own],
  [`${own}; version=1`],
  [`${own}; version=4.0`],
  [`${own}; version=`],
  ["application/vnd.layer+json; version=1.0"],
  ["text/html"],
  ["application/json; q=0"],
  [`${own}; version=1.0; q=0.0`],
])("%s is not acceptable", (accept) => {
  expect(readLayerAccept(accept)).toEqual({ kind: "not acceptable" });
});
