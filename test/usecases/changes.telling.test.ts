import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { changeChannels, createTransact } from "../../src/usecases/changes.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { waitFor } from "../support/wait-for.ts";

const one = "019a7b1e-0000-7000-8000-000000000001";
const two = "019a7b1e-0000-7000-8000-000000000002";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  for (const id of [one, two]) {
    await api.database
      .em()
      .execute("insert into organization (id, name, created_at, updated_at) values (?, 'x', now(), now())", [id]);
  }
});
afterAll(() => api.close());

it("what a transaction changed is told here and to other processes, once, when it is committed", async () => {
  const heard: string[] = [];
  const stops = [
    await api.database.sql.listen(
      changeChannels.webhooks,
      (payload) => void heard.push(payload),
      () => {},
    ),
    await api.database.sql.listen(
      changeChannels.lanes,
      () => void heard.push("lanes"),
      () => {},
    ),
  ];
  const transact = createTransact(api.database, api.dependencies.changes);
  const failed = transact(async (_em, marks) => {
    marks.webhookChanged(two);
    marks.lanesDue();
    throw new Error("rolled back");
  });
  await expect(failed).rejects.toThrow("rolled back");

  const result = await transact(async (_em, marks) => {
    marks.webhookChanged(one);
    marks.webhookChanged(one);
    marks.lanesDue();
    await setImmediate();
    expect(api.changed).toEqual([]);
    return 7;
  });
  expect(result).toBe(7);
  expect(api.changed).toEqual([one, "lanes"]);
  await waitFor(() => heard.length >= 2);
  expect(heard.sort()).toEqual([one, "lanes"]);
  await Promise.all(stops.map((stop) => stop()));
});

it("a transaction that the database ends because of a deadlock is run again", async () => {
  const transact = createTransact(api.database, api.dependencies.changes);
  const rename = "update organization set name = ? where id = ?";
  const otherHasTwo = Promise.withResolvers<void>();
  let firstRuns = 0;
  let otherRuns = 0;
  const other = transact(async (em) => {
    otherRuns += 1;
    await em.execute(rename, ["other", two]);
    otherHasTwo.resolve();
    // As soon as the first waits for us, we wait for it. In a second run it waits for nobody any more.
    if (otherRuns === 1) await waitFor(isSomebodyHeldUp, { what: "the first to wait" });
    await em.execute(rename, ["other", one]);
  });
  await otherHasTwo.promise;
  await transact(async (em) => {
    firstRuns += 1;
    await em.execute(rename, ["first", one]);
    await em.execute(rename, ["first", two]);
  });
  await other;
  // The database ends one of them: the one that finds out first, after a second of waiting.
  expect([firstRuns, otherRuns].sort()).toEqual([1, 2]);
  // It came last then, and all of it is there.
  const name = firstRuns === 2 ? "first" : "other";
  expect(await api.database.em().execute("select name from organization")).toEqual([{ name }, { name }]);
});

async function isSomebodyHeldUp(): Promise<boolean> {
  const text = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  return (await api.database.em().execute(text)).length > 0;
}
