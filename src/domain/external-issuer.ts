/** What the operator has said about the issuer of tokens that this service did not make. */
export interface ExternalIssuer {
  /** The value of `iss`. */
  readonly issuer: string;
  /** The value of `aud`, or one of them. */
  readonly audience: string;
  /** Where a token names the organization. */
  readonly organizationClaim: string;
  /** Where a token names its scopes. */
  readonly scopeClaim: string;
  /** The claim, and the value in it, that make an operator; undefined: no token makes one. */
  readonly operatorClaim: { claim: string; value: string } | undefined;
}
