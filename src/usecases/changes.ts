import { DeadlockException } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import type { Database } from "../store/database.ts";
import type { AuditTrail } from "./audit-trail.ts";

/** Who hears of changes in this process, after they are committed. Other processes hear of them by NOTIFY. */
export interface Changes {
  /** A webhook of the organization, or one of its secrets, was created, changed or deleted. */
  webhooksChanged(organizationId: string): void;
  /** A lane became due. */
  lanesDue(): void;
}

/**
 * The channels of NOTIFY on which other processes hear the same. The payload of the first is the organization's UUID, that of the second empty, or
 * the UUID of a webhook of which a scheduled delivery was cancelled.
 */
export const changeChannels = { webhooks: "tellwire_webhooks", lanes: "tellwire_lanes" } as const;

/** What a piece of work says that it changed. */
export interface ChangeMarks {
  webhookChanged(organizationId: string): void;
  lanesDue(): void;
}

/**
 * Runs work in one transaction of the ORM. What it marks as changed is notified in the same transaction, and told to this process after
 * the commit; a transaction that fails tells nobody. Work that the database ends because of a deadlock with another transaction is run again, so
 * it must do nothing outside of the transaction.
 */
export type Transact = <Result>(work: (em: SqlEntityManager, marks: ChangeMarks) => Promise<Result>) => Promise<Result>;

/** What use cases that change something work with. */
export interface ChangeParts {
  transact: Transact;
  audit: AuditTrail;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export function createTransact(database: Database, changes: Changes): Transact {
  return async (work) => {
    for (let run = 1; ; run += 1) {
      try {
        const { result, organizations, lanesAreDue } = await runOnce(database, work);
        for (const organizationId of organizations) changes.webhooksChanged(organizationId);
        if (lanesAreDue) changes.lanesDue();
        return result;
      } catch (error) {
        if (run >= maxRuns || !(error instanceof DeadlockException)) throw error;
      }
    }
  };
}

const maxRuns = 3;

async function runOnce<Result>(
  database: Database,
  work: (em: SqlEntityManager, marks: ChangeMarks) => Promise<Result>,
): Promise<{ result: Result; organizations: ReadonlySet<string>; lanesAreDue: boolean }> {
  const organizations = new Set<string>();
  let lanesAreDue = false;
  const marks: ChangeMarks = {
    webhookChanged: (organizationId) => void organizations.add(organizationId),
    lanesDue: () => {
      lanesAreDue = true;
    },
  };
  const result = await database.em().transactional(async (em) => {
    const worked = await work(em, marks);
    for (const organizationId of organizations) {
      await em.execute("select pg_notify(?, ?)", [changeChannels.webhooks, organizationId]);
    }
    if (lanesAreDue) {
      await em.execute("select pg_notify(?, '')", [changeChannels.lanes]);
    }
    return worked;
  });
  return { result, organizations, lanesAreDue };
}
