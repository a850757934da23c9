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
  let runs = 0;
  const other = api.database.em().transactional(async (em) => {
    await em.execute(rename, ["other", two]);
    otherHasTwo.resolve();
    // As soon as the first waits for us, we wait for it: it waited first, so it is the one that the database ends.
    await waitFor(async () => {
      const waiting = await api.database
        .em()
        .execute("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
      return waiting.length > 0;
    });
    await em.execute(rename, ["other", one]);
  });
  await otherHasTwo.promise;
  await transact(async (em) => {
    runs += 1;
    await em.execute(rename, ["first", one]);
    await em.execute(rename, ["first", two]);
  });
  await other;
  expect(runs).toBe(2);
  const rows = await api.database.em().execute("select name from organization");
  expect(rows).toEqual([{ name: "first" }, { name: "first" }]);
});
