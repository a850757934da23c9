import { create } from "@bufbuild/protobuf";
import { type Recovery, RecoverySchema, RecoveryScope, RecoveryStatus } from "../../../gen/tellwire/v1/recovery_pb.ts";
import { publicId, timeOfId } from "../../domain/ids.ts";
import { progressPercent } from "../../domain/recovery.ts";
import type { RecoveryRecord } from "../../usecases/recoveries.ts";
import { timestampOf } from "./wire-values.ts";

/** A recovery as answers show it. */
export function recoveryMessage(recovery: RecoveryRecord): Recovery {
  return create(RecoverySchema, {
    id: publicId("recovery", recovery.id),
    organizationId: publicId("organization", recovery.organizationId),
    webhookId: publicId("webhook", recovery.webhookId),
    scope: RecoveryScope[recovery.scope],
    sinceTime: timestampOf(recovery.since),
    untilTime: timestampOf(recovery.until),
    status: RecoveryStatus[recovery.status],
    statusReason: recovery.statusReason,
    examinedCount: BigInt(recovery.examined),
    resentCount: BigInt(recovery.resent),
    progressPercent: progressPercent({ ...recovery, reached: reachedBy(recovery) }),
    createTime: timestampOf(recovery.createdAt),
    updateTime: timestampOf(recovery.updatedAt),
    completeTime: timestampOf(recovery.completedAt),
  });
}

/** Where the cursor is a delivery, its id begins with the time. */
function reachedBy({ scope, cursorTime, cursorId }: RecoveryRecord): Date | null {
  if (scope === "NEVER_SENT") return cursorTime ?? null;
  return cursorId ? new Date(timeOfId(cursorId)) : null;
}
