import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import { createKeyUsage } from "../../src/usecases/key-usage.ts";
import { createUseCases, type UseCases } from "../../src/usecases/use-cases.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { operator, peer } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
/** The use cases of two processes, on one database. */
let here: UseCases;
let there: UseCases;
/** Their clock stands still unless a test moves it: memory that becomes old by itself would hide whether anybody is told. */
let nowMs = Date.now();
const advance = (ms: number) => {
  nowMs += ms;
};
beforeAll(async () => {
  api = await startApi({ ids: { now: () => nowMs, randomBytes } });
  here = api.useCases;
  there = createUseCases(api.dependencies);
  await here.accessChannel.start();
  await there.accessChannel.start();
});
afterAll(async () => {
  await here.accessChannel.stop();
  await there.accessChannel.stop();
  await api.close();
});

async function newKey() {
  const { id } = await here.organizations.create(operator, { name: "Acme" });
  const input = { organizationId: id, name: "", expiresAt: null, scopes: [], projectId: "" };
  const { apiKey, key } = await here.keys.create(operator, input);
  const isOpen = async (): Promise<boolean> =>
    await there.authenticate({ ...peer, keyText: key }).then(
      () => true,
      (error: { reason: string }) => {
        expect(error.reason).toBe("KEY_INVALID");
        return false;
      },
    );
  return {
    key,
    keyId: apiKey.id,
    isOpen,
    revoke: () => here.keys.revoke(operator, { organizationId: id, id: apiKey.id }),
  };
}

it("a key that is revoked in one process opens nothing in another one, whose clock has not moved", async () => {
  const { isOpen, revoke } = await newKey();
  expect(await isOpen()).toBe(true);
  await revoke();
  await waitFor(async () => !(await isOpen()), { what: "the other process to hear of it" });
});

it("a key is answered from memory while the process listens: the database is not asked again", async () => {
  const { isOpen, keyId } = await newKey();
  expect(await isOpen()).toBe(true);
  // Nobody revokes it this way: it shows who is asked.
  await revokeSilently(keyId);
  expect(await isOpen()).toBe(true);
});

it("of many calls that come at once with one key, one reads it for all", async () => {
  const { key } = await newKey();
  let reads = 0;
  const database = {
    ...api.database,
    em: () => {
      reads += 1;
      return api.database.em();
    },
  };
  const counting = createUseCases({ ...api.dependencies, database });
  await counting.accessChannel.start();
  try {
    const callAtOnce = () =>
      Promise.all(Array.from({ length: 100 }, () => counting.authenticate({ ...peer, keyText: key })));
    await callAtOnce();
    expect(reads).toBe(1);
    advance(5_000);
    await callAtOnce();
    expect(reads).toBe(2);
  } finally {
    await counting.accessChannel.stop();
  }
});

it("while the process does not listen, a key is read from the database each time", async () => {
  const { isOpen, keyId } = await newKey();
  const deaf = createUseCases(api.dependencies);
  const { key } = await newKey();
  await deaf.authenticate({ ...peer, keyText: key });
  await revokeSilently((await deaf.authenticate({ ...peer, keyText: key })).actor.id);
  await expect(deaf.authenticate({ ...peer, keyText: key })).rejects.toMatchObject({ reason: "KEY_INVALID" });
  expect([await isOpen(), keyId]).toEqual([true, keyId]);
});

it("what was revoked while the connection that listens was lost is not let in when it is back", async () => {
  const { isOpen, keyId } = await newKey();
  expect(await isOpen()).toBe(true);
  let gaps = 0;
  const onGap = () => {
    gaps += 1;
  };
  there.accessChannel.subscribe("key-revoked", () => {}, onGap);
  // What such a connection said last: it is asked every five seconds. Of this database alone: other tests share the server, and listen too.
  const text = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query in ('listen tellwire_access', 'select 1')`;
  await api.database.sql.query({ name: "", text }, []);
  await revokeSilently(keyId);
  await waitFor(() => gaps > 0 || !there.accessChannel.isListening(), { what: "the loss of the connection" });
  expect(await isOpen()).toBe(false);
  await waitFor(() => gaps > 0 && there.accessChannel.isListening(), { what: "the connection to be back" });
  expect(await isOpen()).toBe(false);
});

it("a key is read again after some seconds, should the network hold messages back", async () => {
  const { isOpen, keyId } = await newKey();
  expect(await isOpen()).toBe(true);
  await revokeSilently(keyId);
  advance(5_000);
  expect(await isOpen()).toBe(false);
});

it("a key is read again too when the clock was set back", async () => {
  const { isOpen, keyId } = await newKey();
  expect(await isOpen()).toBe(true);
  await revokeSilently(keyId);
  advance(-3_600_000);
  try {
    expect(await isOpen()).toBe(false);
  } finally {
    advance(3_600_000);
  }
});

it("when a key was last used is written down in the background, once a minute at most", async () => {
  const { key, keyId } = await newKey();
  await here.authenticate({ ...peer, keyText: key });
  expect(await lastUse(keyId)).toBeNull();
  await here.keyUsage.write();
  const first = await lastUse(keyId);
  expect(first).not.toBeNull();
  advance(59_000);
  await here.authenticate({ ...peer, keyText: key });
  await there.authenticate({ ...peer, keyText: key });
  await Promise.all([here.keyUsage.write(), there.keyUsage.write()]);
  expect(await lastUse(keyId)).toBe(first);
  advance(2_000);
  await there.authenticate({ ...peer, keyText: key });
  there.keyUsage.start();
  await there.keyUsage.stop();
  expect(await lastUse(keyId)).not.toBe(first);
});

it("a use that could not be written down is written down with the next ones", async () => {
  const { keyId } = await newKey();
  let isAway = true;
  const query: typeof api.database.sql.query = (...statement) =>
    isAway ? Promise.reject(new Error("the database is away")) : api.database.sql.query(...statement);
  const database = { ...api.database, sql: { ...api.database.sql, query } };
  const usage = createKeyUsage({ ...api.dependencies, database });
  usage.note(keyId);
  await expect(usage.write()).rejects.toThrow("away");
  isAway = false;
  await usage.write();
  expect(await lastUse(keyId)).not.toBeNull();
});

it("there may be several operator's keys, and each is known by a short fingerprint", async () => {
  const keys = ["the-old-key-of-the-operator", "the-new-key-of-the-operator"];
  const { authenticate } = createUseCases({ ...api.dependencies, operatorKeys: keys });
  const [old, next] = await Promise.all(keys.map((keyText) => authenticate({ ...peer, keyText })));
  expect(old).toMatchObject({
    kind: "operator",
    actor: { kind: "OPERATOR_KEY", id: expect.stringMatching(/^[0-9a-f]{12}$/) },
  });
  expect(next?.kind).toBe("operator");
  expect(next?.actor.id).not.toBe(old?.actor.id);
});

/** `keyId` is a UUID. */
async function lastUse(keyId: string): Promise<string | null | undefined> {
  const text = "select last_used_at::text as at from api_key where id = $1";
  const [row] = await api.database.sql.query<{ at: string | null }>({ name: "", text }, [keyId]);
  return row?.at;
}

/** Without a word to anybody. A UUID, or `key_…`. */
async function revokeSilently(keyId: string): Promise<void> {
  const text = "update api_key set revoked_at = now() where id = $1::uuid";
  await api.database.sql.query({ name: "", text }, [parseId("apiKey", keyId)]);
}
