import type { ClientGrant, ClientIdentity } from "../domain/client-identity.ts";
import { allScopes } from "../domain/scope.ts";
import { TellwireError } from "../errors.ts";
import type { Authenticator, ClientCertificate } from "./authenticate.ts";
import type { Organizations } from "./organizations.ts";

/** The clients that show who they are by a certificate. */
export interface ClientCertificates {
  /**
   * Whom the certificate of a call without a key stands for; undefined where there is none, or where the call has a key, which then decides. Throws
   * CLIENT_CERTIFICATE_REFUSED for one that is not verified, has expired since the connection began, or is not listed, and
   * ORGANIZATION_NOT_FOUND where it is listed for an organization that does not exist.
   */
  identify: Authenticator;
  /** What is granted to a name; undefined: it is not listed. */
  grantOf(name: string): ClientGrant | undefined;
}

export interface ClientCertificatesDependencies {
  identities: readonly ClientIdentity[];
  organizations: Pick<Organizations, "require">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export function createClientCertificates(dependencies: ClientCertificatesDependencies): ClientCertificates {
  const { identities, organizations, now } = dependencies;
  const grants = new Map(identities.map(({ name, grant }) => [name, grant]));

  /** The one name of a certificate that is listed, with what is granted to it. */
  function listed(certificate: ClientCertificate): ClientIdentity {
    const found = [...new Set(certificate.names)].flatMap((name) => {
      const grant = grants.get(name);
      return grant === undefined ? [] : [{ name, grant }];
    });
    const [identity, ...others] = found;
    if (identity === undefined) throw notListed(certificate);
    if (others.length === 0) return identity;
    // Which of them it is meant to be, nobody can tell.
    const names = found.map(({ name }) => name).join(", ");
    throw refused(`has several names that are listed (${names}): give each client one of them`);
  }

  return {
    grantOf: (name) => grants.get(name),
    async identify({ keyText, clientCertificate, origin }) {
      if (keyText !== undefined || clientCertificate === undefined) return undefined;
      requireGood(clientCertificate, now());
      const { name, grant } = listed(clientCertificate);
      const actor = { kind: "CLIENT_CERTIFICATE", id: name } as const;
      if (grant.kind === "operator") return { kind: "operator", actor, origin, scopes: allScopes };
      const { organizationId } = grant;
      await organizations.require(organizationId);
      const scopes = new Set(grant.scopes);
      return { kind: "organization", organizationId, projectId: undefined, actor, origin, scopes };
    },
  };
}

/** A connection may outlive the certificate that it began with. */
function requireGood({ problem, expiresAtMs }: ClientCertificate, nowMs: number): void {
  if (problem !== undefined) throw refused(`is not trusted here (${problem})`);
  if (expiresAtMs <= nowMs) throw refused(`expired at ${new Date(expiresAtMs).toISOString()}: connect with a new one`);
}

function notListed({ names }: ClientCertificate): TellwireError {
  if (names.length === 0) {
    return refused("has no DNS name and no URI among its alternative names; the common name does not count");
  }
  return refused(
    `is verified, but stands for nobody here: list one of its names (${names.join(", ")}) in TELLWIRE_GRPC_CLIENT_IDENTITIES, or send a key`,
  );
}

function refused(what: string): TellwireError {
  return new TellwireError("CLIENT_CERTIFICATE_REFUSED", `the client certificate ${what}`);
}
