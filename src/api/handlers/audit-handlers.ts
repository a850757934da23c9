import type { ServiceImpl } from "@connectrpc/connect";
import type { AuditService } from "../../../gen/tellwire/v1/audit_service_pb.ts";
import { parseAnyId } from "../../domain/ids.ts";
import { invalidFields } from "../../errors.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { auditEntryMessage } from "../messages/audit-message.ts";
import { dateOf, optionalUuidOf, uuidOf } from "../messages/wire-values.ts";

/** AuditService on the use cases. */
export function createAuditHandlers({ audit }: UseCases): ServiceImpl<typeof AuditService> {
  return {
    async listAuditEntries(request, context) {
      const filters = {
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        actorId: request.actorId || undefined,
        action: request.action || undefined,
        resourceId: request.resourceId === "" ? undefined : resourceUuidOf(request.resourceId),
        createdAfter: dateOf(request.createdAfter, "created_after"),
        createdBefore: dateOf(request.createdBefore, "created_before"),
      };
      const page = await audit.list(principalOf(context), filters, request);
      return { auditEntries: page.items.map(auditEntryMessage), nextPageToken: page.nextPageToken };
    },

    async getAuditEntry({ id, organizationId }, context) {
      const entry = await audit.get(principalOf(context), {
        id: uuidOf("auditEntry", id, "id"),
        organizationId: optionalUuidOf("organization", organizationId, "organization_id"),
      });
      return { auditEntry: auditEntryMessage(entry) };
    },
  };
}

/** A resource is named by the id of whatever kind it is. */
function resourceUuidOf(text: string): string {
  const uuid = parseAnyId(text);
  if (uuid !== undefined) return uuid;
  throw invalidFields({ field: "resource_id", description: "must be an id such as wh_…, or its UUID" });
}
