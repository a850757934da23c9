import { create } from "@bufbuild/protobuf";
import {
  type ApiKey,
  ApiKeySchema,
  type Organization,
  OrganizationSchema,
} from "../../../gen/tellwire/v1/organization_pb.ts";
import { publicId } from "../../domain/ids.ts";
import type { ApiKeyRecord } from "../../usecases/keys.ts";
import type { OrganizationRecord } from "../../usecases/organizations.ts";
import { limitsMessage } from "./limits-message.ts";
import { scopeMessage } from "./scope-message.ts";
import { timestampOf } from "./wire-values.ts";

/** An organization as answers show it. */
export function organizationMessage(organization: OrganizationRecord): Organization {
  const { id, name, projectIds, createdAt, updatedAt } = organization;
  const limits = limitsMessage(organization.limits ?? null);
  return create(OrganizationSchema, {
    id: publicId("organization", id),
    name,
    projectIds,
    createTime: timestampOf(createdAt),
    updateTime: timestampOf(updatedAt),
    ...(limits && { limits }),
  });
}

/** A key as answers show it: without the key. */
export function apiKeyMessage(apiKey: ApiKeyRecord): ApiKey {
  return create(ApiKeySchema, {
    id: publicId("apiKey", apiKey.id),
    organizationId: publicId("organization", apiKey.organizationId),
    name: apiKey.name,
    prefix: apiKey.prefix,
    createTime: timestampOf(apiKey.createdAt),
    expireTime: timestampOf(apiKey.expiresAt),
    revokeTime: timestampOf(apiKey.revokedAt),
    scopes: apiKey.scopes.map(scopeMessage),
    projectId: apiKey.projectId ?? "",
    lastUseTime: timestampOf(apiKey.lastUsedAt),
  });
}
