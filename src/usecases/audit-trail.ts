import type { SqlEntityManager } from "@mikro-orm/sql";
import { type AuditEntry, type AuditState, auditedDifference } from "../domain/audit-entry.ts";
import { createOrderedUuids, type IdSource } from "../domain/ids.ts";
import { insertAuditEntries } from "../store/sql/insert-audit-entries.ts";
import type { Sql } from "../store/sql.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { Principal } from "./access.ts";

/** Writes the audit log. Every use case that changes something does so in the transaction of the change: there is either both or neither. */
export interface AuditTrail {
  /**
   * Records one change. `before` and `after` are the resource as a whole, null where there is none, from audited-states.ts: what did not change is
   * left out, and so are the values of headers. Works inside a transaction only.
   */
  record(em: SqlEntityManager, by: AuditedCaller, change: AuditedChange): Promise<void>;
  /** The same for changes that are made by statements alone. */
  recordIn(transaction: Pick<Sql, "query">, by: AuditedCaller, change: AuditedChange): Promise<void>;
}

/** Who changed something, and from where. A principal is one. */
export type AuditedCaller = Pick<Principal, "actor" | "origin">;

export interface AuditedChange extends Pick<AuditEntry, "action" | "resource"> {
  /** A UUID; null where the change is about no organization. */
  organizationId: string | null;
  before: AuditState | null;
  after: AuditState | null;
}

export function createAuditTrail(ids: IdSource): AuditTrail {
  const newId = createOrderedUuids(ids);
  const recordIn: AuditTrail["recordIn"] = async (transaction, by, { before, after, ...change }) => {
    const difference = auditedDifference(before, after);
    await insertAuditEntries(transaction, [{ id: newId(), ...change, ...writtenCaller(by), ...difference }]);
  };
  return { recordIn, record: (em, by, change) => recordIn(transactionSql(em), by, change) };
}

function writtenCaller({ actor: { kind, id }, origin }: AuditedCaller): Pick<AuditEntry, "actor" | "origin"> {
  const { address, userAgent, requestId } = origin;
  return {
    actor: { kind, id },
    origin: {
      address: address ?? null,
      userAgent: userAgent?.slice(0, maxUserAgentLength) ?? null,
      requestId: requestId ?? null,
    },
  };
}

/** Who appears in the log where Tellwire itself changes something: the name of the part, or of the command. */
export function systemCaller(name: string): AuditedCaller {
  return {
    actor: { kind: "SYSTEM", id: name },
    origin: { address: undefined, userAgent: undefined, requestId: undefined },
  };
}

const maxUserAgentLength = 256;
