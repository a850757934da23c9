import type { SqlEntityManager } from "@mikro-orm/sql";
import { TellwireError } from "../errors.ts";
import { type CountedRows, countUpTo, lockOrganization } from "../store/sql/count-up-to.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { OrganizationLimits } from "./organization-limits.ts";

/** Whether an organization may have one more of something. */
export interface Quotas {
  /** The check for a creation. It is made before the transaction of the creation, which would else wait for a second connection. */
  of(organizationId: string, what: CountedRows): Promise<RequireRoom>;
}

/**
 * Throws QUOTA_EXCEEDED. Asked in the transaction that creates something, before it is written: creations of one organization go one after the
 * other from here to their commit, so that two at once never exceed the quota.
 */
export type RequireRoom = (em: SqlEntityManager) => Promise<void>;

export function createQuotas(limits: Pick<OrganizationLimits, "of">): Quotas {
  return {
    async of(organizationId, what) {
      const held = await limits.of(organizationId);
      const quota = what === "webhooks" ? held.webhooks : held.apiKeys;
      return async (em) => {
        if (quota === null) return;
        const sql = transactionSql(em);
        await lockOrganization(sql, organizationId);
        // The next statement sees what was committed while this one waited for the lock.
        if ((await countUpTo(sql, { organizationId, what, limit: quota })) >= quota) throw exceeded(what, quota);
      };
    },
  };
}

function exceeded(what: CountedRows, quota: number): TellwireError {
  const { quotaName, field, fix } = descriptions[what];
  return new TellwireError(
    "QUOTA_EXCEEDED",
    `the organization may have ${quota} ${quotaName}, and has them: ${fix}, or ask an operator for more (limits.${field})`,
    { metadata: { quota: what, limit: String(quota) } },
  );
}

const descriptions = {
  webhooks: { quotaName: "webhooks", field: "max_webhooks", fix: "delete one that is not needed" },
  "api-keys": { quotaName: "keys that work", field: "max_api_keys", fix: "revoke one that is not needed" },
} as const;
