import { isDeepStrictEqual } from "node:util";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Organization } from "../../../gen/tellwire/v1/organization_pb.ts";
import type { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import { refusalOfCall, refusalOfError } from "./import-failure.ts";
import type { LineOutcome } from "./import-report.ts";

export type ImportedOrganization =
  | { outcome: Exclude<LineOutcome, "refused"> }
  | { outcome: "refused"; reason: string };

/** Creates an organization with its known id; one that is there already gets the name and the projects of the line. */
export async function importOrganization(
  client: Client<typeof OrganizationService>,
  organization: Organization,
  { dryRun, line }: { dryRun: boolean; line: number },
): Promise<ImportedOrganization> {
  const { id, name, projectIds } = organization;
  if (id === "") return { outcome: "refused", reason: "organization.id: value is required, as org_… or a UUID" };
  try {
    const here = await find(client, id);
    if (here === undefined) {
      if (!dryRun) await client.createOrganization({ organization: { id, name, projectIds } });
      return { outcome: "imported" };
    }
    // Projects that the line does not list stay as they are here.
    const keepsProjects = projectIds.length === 0 || isDeepStrictEqual(projectIds, here.projectIds);
    if (name === here.name && keepsProjects) return { outcome: "unchanged" };
    if (!dryRun) await client.updateOrganization({ organization: { id, name, projectIds } });
    return { outcome: "updated" };
  } catch (error) {
    if (error instanceof ConnectError && refusals.has(error.code)) {
      return { outcome: "refused", reason: refusalOfError(error).text };
    }
    throw refusalOfCall(error, line);
  }
}

/** What the line is to blame for. */
const refusals: ReadonlySet<Code> = new Set([Code.InvalidArgument, Code.AlreadyExists]);

async function find(client: Client<typeof OrganizationService>, id: string): Promise<Organization | undefined> {
  try {
    return (await client.getOrganization({ id })).organization;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}
