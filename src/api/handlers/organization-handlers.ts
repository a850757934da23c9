import type { ServiceImpl } from "@connectrpc/connect";
import type { Organization } from "../../../gen/tellwire/v1/organization_pb.ts";
import type { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { invalidFields } from "../../errors.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { apiKeyMessage, organizationMessage } from "../messages/organization-message.ts";
import { dateOf, uuidOf } from "../messages/wire-values.ts";

/** OrganizationService on the use cases. */
export function createOrganizationHandlers({ organizations, keys }: UseCases): ServiceImpl<typeof OrganizationService> {
  return {
    async createOrganization({ organization }, context) {
      const { name } = required(organization);
      return { organization: organizationMessage(await organizations.create(principalOf(context), { name })) };
    },

    async getOrganization({ id }, context) {
      const uuid = uuidOf("organization", id, "id");
      return { organization: organizationMessage(await organizations.get(principalOf(context), uuid)) };
    },

    async listOrganizations(request, context) {
      const page = await organizations.list(principalOf(context), request);
      return { organizations: page.items.map(organizationMessage), nextPageToken: page.nextPageToken };
    },

    async updateOrganization({ organization, updateMask }, context) {
      const { id: publicId, name } = required(organization);
      const id = uuidOf("organization", publicId, "organization.id");
      const unknown = (updateMask?.paths ?? []).filter((path) => path !== "name");
      if (unknown.length > 0) {
        throw invalidFields({ field: "update_mask", description: `${unknown.join(", ")}: only name can be changed` });
      }
      return { organization: organizationMessage(await organizations.update(principalOf(context), { id, name })) };
    },

    async createApiKey({ organizationId, apiKey: given }, context) {
      const { apiKey, key } = await keys.create(principalOf(context), {
        organizationId: uuidOf("organization", organizationId, "organization_id"),
        name: given?.name ?? "",
        expiresAt: dateOf(given?.expireTime, "api_key.expire_time") ?? null,
      });
      return { apiKey: apiKeyMessage(apiKey), key };
    },

    async listApiKeys(request, context) {
      const organizationId = uuidOf("organization", request.organizationId, "organization_id");
      const page = await keys.list(principalOf(context), organizationId, request);
      return { apiKeys: page.items.map(apiKeyMessage), nextPageToken: page.nextPageToken };
    },

    async revokeApiKey(request, context) {
      await keys.revoke(principalOf(context), {
        organizationId: uuidOf("organization", request.organizationId, "organization_id"),
        id: uuidOf("apiKey", request.id, "id"),
      });
      return {};
    },
  };
}

function required(organization: Organization | undefined): Organization {
  if (organization !== undefined) return organization;
  throw invalidFields({ field: "organization", description: "value is required" });
}
