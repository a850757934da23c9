import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { type Webhook, WebhookEntity } from "../store/entities/webhook.ts";
import { readWebhookStanding, type WebhookStanding } from "../store/sql/webhook-standing.ts";
import type { Sql } from "../store/sql.ts";
import { type Principal, projectOf, requireWholeOrganization } from "./access.ts";

// Some callers are kept to one project of their organization. A webhook belongs to the projects that it lists, a delivery and a recovery to those
// of their webhook, an event to the one that it names. What lists the project is seen; what lists nothing else may be changed.

/**
 * The projects of something that the caller makes: the ones that it names, or, where it is kept to a project, that one. Throws
 * PROJECT_NOT_FOUND for a project that it does not see.
 */
export function ownProjects(principal: Principal, named: readonly string[]): string[] {
  const own = projectOf(principal);
  if (own === undefined) return [...named];
  const foreign = named.find((projectId) => projectId !== own);
  if (foreign !== undefined) throw projectNotFound(foreign);
  return [own];
}

/**
 * The projects of something that the caller sees, as far as it is told of them: somebody who is kept to a project does not hear which others there
 * are.
 */
export function toldProjects(principal: Principal, projectIds: readonly string[]): string[] {
  const own = projectOf(principal);
  return projectIds.filter((projectId) => own === undefined || projectId === own);
}

/** The condition on webhooks that the caller sees. `named`: a project that they have to list besides; empty: any. */
export function visibleWebhooks(principal: Principal, named = ""): VisibleWebhooks {
  const own = projectOf(principal);
  // Whether a webhook that it sees is of that project too is not for it to know.
  if (own !== undefined && named !== "" && named !== own) return { id: { $in: [] } };
  const listed = own ?? named;
  return listed === "" ? {} : { projectIds: { $contains: [listed] } };
}

interface VisibleWebhooks {
  projectIds?: { $contains: string[] };
  id?: { $in: string[] };
}

/** The ids of these webhooks; undefined: the caller is kept to no project, and sees all. */
export async function visibleWebhookIds(em: SqlEntityManager, principal: Principal): Promise<string[] | undefined> {
  if (principal.kind === "operator" || principal.projectId === undefined) return undefined;
  const { organizationId } = principal;
  // Index: webhook_organization. It reads all webhooks of the organization.
  const rows = await em.find(WebhookEntity, { organizationId, ...visibleWebhooks(principal) }, { fields: ["id"] });
  return rows.map(({ id }) => id);
}

/** Whether the caller may change a webhook that it sees: one that is of other projects too is not its own. */
export function isOwnWebhook(principal: Principal, { projectIds }: Pick<Webhook, "projectIds">): boolean {
  const own = projectOf(principal);
  return own === undefined || projectIds.every((projectId) => projectId === own);
}

/** Throws WHOLE_ORGANIZATION_REQUIRED for a webhook that the caller sees, and that is of other projects too. */
export function requireOwnWebhook(principal: Principal, webhook: Pick<Webhook, "id" | "projectIds">): void {
  if (!isOwnWebhook(principal, webhook)) requireForShared(principal, webhook.id);
}

/** What a webhook that is not read itself is to the caller: own to whoever is kept to no project. */
export async function standingOf(
  sql: Pick<Sql, "query">,
  principal: Principal,
  webhookId: string,
): Promise<WebhookStanding> {
  const projectId = projectOf(principal);
  return projectId === undefined ? "own" : await readWebhookStanding(sql, { webhookId, projectId });
}

/** WHOLE_ORGANIZATION_REQUIRED where the caller is kept to a project: the webhook is of others too. */
export function requireForShared(principal: Principal, webhookId: string): void {
  requireWholeOrganization(
    principal,
    `changing the webhook ${publicId("webhook", webhookId)}, which is of other projects too,`,
  );
}

/** PROJECT_NOT_FOUND for a project's name. */
export function projectNotFound(projectId: string): TellwireError {
  return new TellwireError("PROJECT_NOT_FOUND", `the organization has no project ${JSON.stringify(projectId)}`, {
    metadata: { project_id: projectId },
  });
}
