import { create, type JsonObject } from "@bufbuild/protobuf";
import { AuditActorKind, type AuditEntry, AuditEntrySchema } from "../../../gen/tellwire/v1/audit_entry_pb.ts";
import { auditedResourceId } from "../../domain/audit-entry.ts";
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
    ...(before === null ? {} : { before: before as JsonObject }),
    ...(after === null ? {} : { after: after as JsonObject }),
  });
}

/** Set where anything of it is known. */
function originOf({ origin: { address, userAgent, requestId } }: AuditRecord) {
  if (address === null && userAgent === null && requestId === null) return {};
  return { origin: { address: address ?? "", userAgent: userAgent ?? "", requestId: requestId ?? "" } };
}
