import type { ServiceImpl } from "@connectrpc/connect";
import type { Organization } from "../../../gen/tellwire/v1/organization_pb.ts";
import type {
  CreatePortalTokenRequest,
  OrganizationService,
} from "../../../gen/tellwire/v1/organization_service_pb.ts";
import type { LimitOverrides } from "../../domain/limits.ts";
import { invalidFields } from "../../errors.ts";
import type { PortalAccess } from "../../usecases/portal-tokens.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { limitOverrides, usageMessage } from "../messages/limits-message.ts";
import { apiKeyMessage, organizationMessage } from "../messages/organization-message.ts";
import { portalTokenResponse } from "../messages/portal-token-message.ts";
import { scopeOf } from "../messages/scope-message.ts";
import { dateOf, millisecondsOf, optionalUuidOf, uuidOf } from "../messages/wire-values.ts";

/** OrganizationService on the use cases. */
export function createOrganizationHandlers({
  organizations,
  keys,
  portalTokens,
}: UseCases): ServiceImpl<typeof OrganizationService> {
  return {
    async createOrganization({ organization }, context) {
      const given = required(organization);
      const input = {
        id: optionalUuidOf("organization", given.id, "organization.id"),
        name: requiredName(given),
        projectIds: given.projectIds,
        limits: limitOverrides(given.limits),
      };
      return { organization: organizationMessage(await organizations.create(principalOf(context), input)) };
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
      const given = required(organization);
      const id = uuidOf("organization", given.id, "organization.id");
      const change = { id, ...organizationPatch(given, updateMask?.paths ?? []) };
      return { organization: organizationMessage(await organizations.update(principalOf(context), change)) };
    },

    async getOrganizationUsage({ organizationId }, context) {
      const id = uuidOf("organization", organizationId, "organization_id");
      return { usage: usageMessage(await organizations.usage(principalOf(context), id)) };
    },

    async createApiKey({ organizationId, apiKey: given }, context) {
      const { apiKey, key } = await keys.create(principalOf(context), {
        organizationId: uuidOf("organization", organizationId, "organization_id"),
        name: given?.name ?? "",
        expiresAt: dateOf(given?.expireTime, "api_key.expire_time") ?? null,
        scopes: (given?.scopes ?? []).flatMap((scope) => scopeOf(scope) ?? []),
        projectId: given?.projectId ?? "",
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

    async createPortalToken(request, context) {
      const created = await portalTokens.create(principalOf(context), {
        organizationId: uuidOf("organization", request.organizationId, "organization_id"),
        projectId: request.projectId === "" ? undefined : request.projectId,
        access: accessOf(request),
        lifetimeMs: request.lifetime && millisecondsOf(request.lifetime),
      });
      return portalTokenResponse(created);
    },
  };
}

function accessOf({ readOnly, scopes }: CreatePortalTokenRequest): PortalAccess {
  if (readOnly) return { kind: "read only" };
  if (scopes.length === 0) return { kind: "everything" };
  return { kind: "scopes", scopes: scopes.flatMap((scope) => scopeOf(scope) ?? []) };
}

function required(organization: Organization | undefined): Organization {
  if (organization !== undefined) return organization;
  throw invalidFields({ field: "organization", description: "value is required" });
}

/** The new values that the mask names; without one, those that are set. */
function organizationPatch(given: Organization, paths: readonly string[]): OrganizationPatch {
  const set = changeable.filter((name) => isSet(given, name));
  // The name is what a change without anything is missing.
  const named = new Set<string>(paths.length > 0 ? paths : set.length > 0 ? set : ["name"]);
  const unknown = [...named].filter((path) => !(changeable as readonly string[]).includes(path));
  if (unknown.length > 0) {
    const description = `${unknown.join(", ")}: only ${changeable.join(", ")} can be changed`;
    throw invalidFields({ field: "update_mask", description });
  }
  return {
    ...(named.has("name") ? { name: requiredName(given) } : {}),
    ...(named.has("project_ids") ? { projectIds: given.projectIds } : {}),
    ...(named.has("limits") ? { limits: limitOverrides(given.limits) } : {}),
  };
}

interface OrganizationPatch {
  name?: string;
  projectIds?: string[];
  limits?: LimitOverrides | null;
}

const changeable = ["name", "project_ids", "limits"] as const;

function isSet({ name, projectIds, limits }: Organization, field: (typeof changeable)[number]): boolean {
  switch (field) {
    case "name":
      return name !== "";
    case "project_ids":
      return projectIds.length > 0;
    case "limits":
      return limits !== undefined;
  }
}

/** The contract leaves this to the handlers, because a change of other fields need not send the name. */
function requiredName({ name }: Organization): string {
  if (name !== "") return name;
  throw invalidFields({ field: "organization.name", description: "must have 1 to 128 characters" });
}
