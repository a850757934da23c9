import { create } from "@bufbuild/protobuf";
import {
  type Attempt,
  AttemptError,
  AttemptSchema,
  AttemptTrigger,
  type Delivery,
  DeliverySchema,
  DeliveryStatus,
} from "../../../gen/tellwire/v1/delivery_pb.ts";
import { publicId } from "../../domain/ids.ts";
import type { AttemptRecord, DeliveryRecord } from "../../usecases/delivery-record.ts";
import { durationOf, timestampOf } from "./wire-values.ts";

/** A delivery as answers show it, with the attempts that are given. */
export function deliveryMessage(delivery: DeliveryRecord, attempts: readonly AttemptRecord[] = []): Delivery {
  return create(DeliverySchema, {
    id: publicId("delivery", delivery.id),
    organizationId: publicId("organization", delivery.organizationId),
    webhookId: publicId("webhook", delivery.webhookId),
    eventId: publicId("event", delivery.eventId),
    eventType: delivery.eventType,
    status: DeliveryStatus[delivery.status],
    statusReason: delivery.statusReason,
    attemptCount: delivery.attemptCount,
    nextAttemptTime: timestampOf(dueTimeOf(delivery)),
    lastStatusCode: delivery.lastStatusCode,
    createTime: timestampOf(delivery.createdAt),
    completeTime: timestampOf(delivery.completedAt),
    attempts: attempts.map(attemptMessage),
  });
}

/** None while the delivery waits for its turn: the store has that as a time without end. */
function dueTimeOf({ nextAttemptAt }: DeliveryRecord): Date | null {
  return nextAttemptAt && Number.isFinite(Number(nextAttemptAt)) ? nextAttemptAt : null;
}

/** An attempt as answers show it. Bytes of the response that are not UTF-8 are replaced. */
export function attemptMessage(attempt: AttemptRecord): Attempt {
  return create(AttemptSchema, {
    id: publicId("attempt", attempt.id),
    number: attempt.number,
    trigger: AttemptTrigger[attempt.trigger],
    startTime: timestampOf(attempt.startedAt),
    latency: durationOf(Math.round(Number(attempt.latencyMs))),
    statusCode: attempt.statusCode,
    error: attempt.error ? AttemptError[attempt.error] : AttemptError.UNSPECIFIED,
    errorMessage: attempt.errorMessage,
    responseBody: Buffer.from(attempt.responseBody).toString("utf8"),
    url: attempt.url,
  });
}
