import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createOrderedUuids,
  deliveryIdOf,
  deliveryIdRange,
  deliveryIds,
  eventIdOfExternalId,
  eventIdOfMessage,
  firstIdAt,
  type IdKind,
  idPrefixes,
  newUuid,
  operationalEventId,
  parseId,
  publicId,
  timeOfId,
} from "../../src/domain/ids.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const one = newUuid({ now: Date.now, randomBytes });
const other = newUuid({ now: Date.now, randomBytes });

describe("ids", () => {
  test("every UUID comes back from its public form, and from itself", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.constantFrom(...(Object.keys(idPrefixes) as IdKind[])), (id, kind) => {
        expect(parseId(kind, publicId(kind, id))).toBe(id);
        expect(parseId(kind, id.toUpperCase())).toBe(id);
      }),
    );
  });

  test.each([
    "",
    "wh_",
    "wh_01h2xcejqtf2nbrexx3vqjhp4", // a character short
    "wh_81h2xcejqtf2nbrexx3vqjhp41", // over 128 bits
    "wh_01h2xcejqtf2nbrexx3vqjhp4u", // no letter of the alphabet
    "WH_01h2xcejqtf2nbrexx3vqjhp41",
    "evt_01h2xcejqtf2nbrexx3vqjhp41", // another kind's
    "01h2xcejqtf2nbrexx3vqjhp41",
  ])("%j is no webhook id", (text) => {
    expect(parseId("webhook", text)).toBeUndefined();
  });

  test("new ids are UUIDv7 in the order of their time", () => {
    const early = newUuid({ now: () => 1_700_000_000_000, randomBytes });
    const late = newUuid({ now: () => 1_700_000_000_001, randomBytes });
    expect(early).toMatch(uuid);
    expect(early < late).toBe(true);
    expect(Number.parseInt(early.replaceAll("-", "").slice(0, 12), 16)).toBe(1_700_000_000_000);
  });

  test("ids that are made one after the other in one millisecond stand in that order", () => {
    let now = 1_700_000_000_000;
    const newId = createOrderedUuids({ now: () => now, randomBytes });
    const ids = Array.from({ length: 4_096 }, newId);
    now += 1;
    ids.push(newId());
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(4_097);
    for (const id of [ids[0]!, ids[4_095]!]) {
      expect(id).toMatch(uuid);
      expect(timeOfId(id)).toBe(1_700_000_000_000);
    }
  });

  test("a publisher's own id always means the same event, and another organization's means another", () => {
    expect(eventIdOfExternalId(one, "order-1")).toMatch(uuid);
    expect(eventIdOfExternalId(one, "order-1")).toBe(eventIdOfExternalId(one, "order-1"));
    expect(eventIdOfExternalId(one, "order-1")).not.toBe(eventIdOfExternalId(other, "order-1"));
    expect(eventIdOfExternalId(one, "order-1")).not.toBe(eventIdOfExternalId(one, "order-2"));
  });

  test("a message without an id is the same event each time that it comes from the same place", () => {
    const id = eventIdOfMessage("EVENTS 17", 1_700_000_000_000);
    expect(id).toMatch(uuid);
    expect(id).toBe(eventIdOfMessage("EVENTS 17", 1_700_000_000_000));
    expect(id).not.toBe(eventIdOfMessage("EVENTS 18", 1_700_000_000_000));
  });

  test("an event and a webhook have one delivery", () => {
    const id = deliveryIdOf(one, 1_700_000_000_000, other);
    expect(id).toMatch(uuid);
    expect(id).toBe(deliveryIdOf(one, 1_700_000_000_000, other));
    expect(id).not.toBe(deliveryIdOf(other, 1_700_000_000_000, one));
    expect(id).not.toBe(deliveryIdOf(one, 1_700_000_000_000, one));
    expect(deliveryIds(one, 1_700_000_000_000)(other)).toBe(id);
  });

  test("a delivery's id tells when its event was received, in whole milliseconds, and orders by that", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), fc.nat(2 ** 41), fc.nat(999), (event, webhook, time, fraction) => {
        const id = deliveryIdOf(event, time + fraction / 1_000, webhook);
        expect(id).toMatch(uuid);
        expect(timeOfId(id)).toBe(time);
        expect(id >= firstIdAt(time) && id < firstIdAt(time + 1)).toBe(true);
      }),
    );
  });

  test("the deliveries of an event are one range of ids, in which those of hardly any other event are", () => {
    const inRange = (id: string, { first, last }: { first: string; last: string }) => id >= first && id <= last;
    fc.assert(
      fc.property(fc.uuid(), fc.array(fc.uuid()), (event, webhooks) => {
        const range = deliveryIdRange(event, 1_700_000_000_000);
        expect(webhooks.every((webhook) => inRange(deliveryIdOf(event, 1_700_000_000_000, webhook), range))).toBe(true);
      }),
    );
    const others = Array.from({ length: 1_000 }, () => newUuid({ now: Date.now, randomBytes }));
    const range = deliveryIdRange(one, 1_700_000_000_000);
    const inside = others.filter((event) => inRange(deliveryIdOf(event, 1_700_000_000_000, other), range));
    expect(inside.length).toBeLessThan(3);
  });

  test("an event about Tellwire has one id for what it tells", () => {
    const id = operationalEventId("delivery.exhausted 1", 1_700_000_000_000);
    expect(id).toMatch(uuid);
    expect(timeOfId(id)).toBe(1_700_000_000_000);
    expect(id).toBe(operationalEventId("delivery.exhausted 1", 1_700_000_000_000));
    expect(id).not.toBe(operationalEventId("delivery.exhausted 2", 1_700_000_000_000));
  });
});

test("ids that follow from something stay what they are: others have stored them", () => {
  const organization = "0197c5e0-7b3a-7d52-9c1f-0123456789ab";
  const event = "5f0c1a52-3d1e-8b7a-9c1f-0123456789ab";
  expect(eventIdOfExternalId(organization, "order-1")).toBe("aa23dd0a-e545-8f3f-ab2b-ca8df6e08a27");
  expect(eventIdOfMessage("EVENTS:17", 1_700_000_000_000)).toBe("018bcfe5-6800-8afe-9da0-0c22ed8048e9");
  expect(deliveryIdOf(event, 1_700_000_000_000.5, organization)).toBe("018bcfe5-6800-8789-aaf9-bb47f046b2df");
  expect(operationalEventId("delivery.exhausted 1", 5)).toBe("00000000-0005-829d-aabe-06d151d21659");
});

test("before 1970, when no id begins yet, the lowest id is the lowest of all", () => {
  expect(firstIdAt(-1)).toBe("00000000-0000-0000-0000-000000000000");
  expect(firstIdAt(Date.UTC(1960, 0, 1))).toBe(firstIdAt(0));
});
