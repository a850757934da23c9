import { create, type JsonObject } from "@bufbuild/protobuf";
import { AuditActorKind, type AuditEntry, AuditEntrySchema } from "../../../gen/tellwire/v1/audit_entry_pb.ts";
import { type AuditState, auditedResourceId } from "../../domain/audit-entry.ts";
import { publicId, timeOfId } from "../../domain/ids.ts";
import type { AuditRecord } from "../../usecases/read-audit.ts";
import { timestampOf } from "./wire-values.ts";

/** An audit entry as answers show it. */
export function auditEntryMessage(entry: AuditRecord): AuditEntry {
  const { id, organizationId, actor, action, resource, changedFields, before, after } = entry;
  return create(AuditEntrySchema, {
    id: publicId("auditEntry", id),
    createTime: timestampOf(new Date(timeOfId(id))),
    organizationId: organizationId === null ? "" : publicId("organization", organizationId),
    actor: { kind: AuditActorKind[actor.kind as keyof typeof AuditActorKind], id: actor.id },
    action,
    resourceType: resource.type,
    resourceId: auditedResourceId(resource),
    ...originOf(entry),
    changedFields,
    ...(before === null ? {} : { before: readable(before) }),
    ...(after === null ? {} : { after: readable(after) }),
  });
}

/**
 * A state as every client can read it: a member that is nested very deeply, such as a webhook's config, stands as its JSON text. Readers of the binary
 * form give up at a hundred messages within each other, of which each level of JSON takes three, and one entry would cost them the whole page.
 */
function readable(state: AuditState): JsonObject {
  const members = Object.entries(state).map(([name, value]) => [
    name,
    isDeeperThan(value, maxDepth) ? JSON.stringify(value) : value,
  ]);
  return Object.fromEntries(members) as JsonObject;
}

const maxDepth = 24;

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeperThan(member, levels - 1));
}

/** Set where anything of it is known. */
function originOf({ origin: { address, userAgent, requestId } }: AuditRecord) {
  if (address === null && userAgent === null && requestId === null) return {};
  return { origin: { address: address ?? "", userAgent: userAgent ?? "", requestId: requestId ?? "" } };
}
