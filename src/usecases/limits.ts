import { newUuid } from "../domain/ids.ts";
import { unlimited } from "../domain/limits.ts";
import type { AccessChannel } from "./access-channel.ts";
import type { Authenticate } from "./authenticate.ts";
import { type CallLimits, createCallLimits } from "./call-limits.ts";
import type { Dependencies } from "./dependencies.ts";
import { limitFailedLogins } from "./failed-logins.ts";
import { createOrganizationLimits, type OrganizationLimits } from "./organization-limits.ts";
import { createPublishingLimits, type PublishingLimits } from "./publishing-limits.ts";
import { createQuotas, type Quotas } from "./quotas.ts";
import { createSharedRates, type SharedRates } from "./shared-rates.ts";

/** Everything that bounds what callers do, on the same limits and the same clock. */
export interface UseCaseLimits {
  ofOrganizations: OrganizationLimits;
  calls: CallLimits;
  publishing: PublishingLimits;
  quotas: Quotas;
  /** Bounds how many wrong keys are looked at. */
  forLogins(authenticate: Authenticate): Authenticate;
  /** Other processes hear no more of what is called here. */
  stopSharing(): void;
}

export function createLimits(dependencies: Dependencies, channel: AccessChannel): UseCaseLimits {
  const { ids, log } = dependencies;
  const { sql } = dependencies.database;
  const { defaults = unlimited, failedLogins = null, onRefused, onWrongKeys } = dependencies.limits ?? {};
  const processId = newUuid(ids);
  const elapsed = () => performance.now();
  const ofOrganizations = createOrganizationLimits({ sql, channel, defaults, elapsed });
  const onFailure = (error: unknown): void => log.backgroundFailure("telling other processes of used limits", error);
  const rates = (name: string): SharedRates =>
    createSharedRates({ channel, name, processId, maxKeys: 100_000, elapsed, onFailure });
  const callRates = rates("calls");
  // Apart from the others, so that whoever calls from very many addresses pushes out no key.
  const loginRates = rates("logins");
  const publishing = createPublishingLimits({
    sql,
    channel,
    limits: ofOrganizations,
    processId,
    now: ids.now,
    onFailure: (error) => log.backgroundFailure("counting published events", error),
  });
  return {
    ofOrganizations,
    calls: createCallLimits({
      limits: ofOrganizations,
      rates: callRates,
      onRefused: (limit) => onRefused?.(limit),
    }),
    publishing,
    quotas: createQuotas(ofOrganizations),
    forLogins: (authenticate) =>
      limitFailedLogins(authenticate, {
        rate: failedLogins,
        rates: loginRates,
        onRefused(network) {
          onRefused?.("failed-logins");
          onWrongKeys?.(network);
        },
      }),
    stopSharing() {
      callRates.stop();
      loginRates.stop();
    },
  };
}
