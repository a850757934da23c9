import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CallRate as CallRateMessage,
  type CallRateSchema,
  type EventRate as EventRateMessage,
  type EventRateSchema,
  type OrganizationLimits,
  OrganizationLimitsSchema,
  type OrganizationUsage as OrganizationUsageMessage,
  OrganizationUsageSchema,
  type UsedQuotaSchema,
} from "../../../gen/tellwire/v1/limits_pb.ts";
import type { CallRate } from "../../domain/call-rate.ts";
import { publicId } from "../../domain/ids.ts";
import type { LimitOverrides } from "../../domain/limits.ts";
import type { RateLimit } from "../../domain/rate-limit.ts";
import type { OrganizationUsage, UsedQuota } from "../../usecases/organization-usage.ts";
import { durationOf, millisecondsOf } from "./wire-values.ts";

/** Limits as answers show them; undefined where nothing differs from the server's own. */
export function limitsMessage(limits: LimitOverrides | null): OrganizationLimits | undefined {
  if (limits === null) return undefined;
  const { callsPerKey, calls, receiverCalls, events, eventsPerDay, webhooks, apiKeys } = limits;
  return create(OrganizationLimitsSchema, {
    ...(callsPerKey && { callsPerKey: callRateMessage(callsPerKey) }),
    ...(calls && { calls: callRateMessage(calls) }),
    ...(receiverCalls && { receiverCalls: callRateMessage(receiverCalls) }),
    ...(events && { events: eventRateMessage(events) }),
    ...(eventsPerDay === undefined ? {} : { maxEventsPerDay: BigInt(eventsPerDay) }),
    ...(webhooks === undefined ? {} : { maxWebhooks: webhooks }),
    ...(apiKeys === undefined ? {} : { maxApiKeys: apiKeys }),
  });
}

/** What a caller sets; null where that is nothing. */
export function limitOverrides(message: OrganizationLimits | undefined): LimitOverrides | null {
  if (message === undefined) return null;
  const { callsPerKey, calls, receiverCalls, events, maxEventsPerDay, maxWebhooks, maxApiKeys } = message;
  const overrides: LimitOverrides = {
    ...(callsPerKey && { callsPerKey: callRate(callsPerKey) }),
    ...(calls && { calls: callRate(calls) }),
    ...(receiverCalls && { receiverCalls: callRate(receiverCalls) }),
    ...(events && { events: eventRate(events) }),
    ...(maxEventsPerDay === undefined ? {} : { eventsPerDay: Number(maxEventsPerDay) }),
    ...(maxWebhooks === undefined ? {} : { webhooks: maxWebhooks }),
    ...(maxApiKeys === undefined ? {} : { apiKeys: maxApiKeys }),
  };
  return Object.keys(overrides).length === 0 ? null : overrides;
}

/** An organization's usage as the answer shows it. */
export function usageMessage(usage: OrganizationUsage): OrganizationUsageMessage {
  return create(OrganizationUsageSchema, {
    organizationId: publicId("organization", usage.organizationId),
    webhooks: usedQuota(usage.webhooks),
    apiKeys: usedQuota(usage.apiKeys),
    eventsToday: usedQuota(usage.eventsToday),
    publishedEvents: usage.publishedEvents.map(({ day, events }) => ({ day, events: BigInt(events) })),
  });
}

function usedQuota({ used, limit }: UsedQuota): MessageInitShape<typeof UsedQuotaSchema> {
  return { used: BigInt(used), ...(limit === null ? {} : { limit: BigInt(limit) }) };
}

function callRateMessage({ count, periodMs, burst }: CallRate): MessageInitShape<typeof CallRateSchema> {
  return { count, period: durationOf(periodMs), burst };
}

function eventRateMessage({ count, periodMs }: RateLimit): MessageInitShape<typeof EventRateSchema> {
  return { count, period: durationOf(periodMs) };
}

function callRate({ count, period, burst }: CallRateMessage): CallRate {
  return { count, periodMs: periodMsOf(period), burst: burst || count };
}

function eventRate({ count, period }: EventRateMessage): RateLimit {
  return { count, periodMs: periodMsOf(period) };
}

function periodMsOf(period: CallRateMessage["period"]): number {
  return period === undefined ? 1_000 : millisecondsOf(period);
}
