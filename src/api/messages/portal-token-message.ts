import { create } from "@bufbuild/protobuf";
import {
  type CreatePortalTokenResponse,
  CreatePortalTokenResponseSchema,
} from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { publicId } from "../../domain/ids.ts";
import type { CreatedPortalToken } from "../../usecases/portal-tokens.ts";
import { scopeMessage } from "./scope-message.ts";
import { timestampOf } from "./wire-values.ts";

/** A portal token as the answer to its creation shows it, this once. */
export function portalTokenResponse(created: CreatedPortalToken): CreatePortalTokenResponse {
  const { text, id, organizationId, projectId, scopes, expiresAt } = created;
  return create(CreatePortalTokenResponseSchema, {
    token: text,
    id: publicId("portalToken", id),
    organizationId: publicId("organization", organizationId),
    projectId: projectId ?? "",
    scopes: scopes.map(scopeMessage),
    expireTime: timestampOf(expiresAt),
  });
}
