import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { RecoveryEntity } from "../../src/store/entities/recovery.ts";
import { removeOldRecoveries } from "../../src/store/sql/remove-old-recoveries.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";

it("recovery jobs that ended before the time are removed, running ones never", async () => {
  const { url, drop } = await createTestDatabase();
  const database = await openTestPostgres(url, { maxConnections: 2 });
  try {
    const at = (year: number) => new Date(Date.UTC(year, 0, 1));
    const insert = async (completedAt: Date | null): Promise<string> => {
      const id = randomUUID();
      await database.em().insert(RecoveryEntity, {
        id,
        organizationId: randomUUID(),
        webhookId: randomUUID(),
        scope: "FAILED",
        since: at(2019),
        until: at(2020),
        status: completedAt === null ? "RUNNING" : "COMPLETED",
        statusReason: "",
        cursorTime: null,
        cursorId: null,
        examined: 0,
        resent: 0,
        createdAt: at(2020),
        updatedAt: at(2020),
        completedAt,
        dueAt: at(2020),
      });
      return id;
    };
    await insert(at(2020));
    const kept = [await insert(at(2022)), await insert(null)];
    await removeOldRecoveries(database.sql, at(2021).getTime());
    const rows = await database.em().find(RecoveryEntity, {});
    expect(rows.map(({ id }) => id).toSorted()).toEqual(kept.toSorted());
  } finally {
    await database.close();
    await drop();
  }
});
