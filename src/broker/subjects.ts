/** The first token of every subject of Tellwire, where nothing else is configured. */
export const defaultSubjectPrefix = "tellwire";

/** The subject of an event: `tellwire.events.<organization>.<event type>`. */
export function eventSubject(prefix: string, organization: string, type: string): string {
  return `${prefix}.events.${organization}.${type}`;
}

/** The subjects of all events. */
export function allEvents(prefix: string): string {
  return `${prefix}.events.>`;
}

/** The organization and the event type of a subject; undefined where it is no subject of an event. */
export function parseEventSubject(prefix: string, subject: string): { organization: string; type: string } | undefined {
  const start = `${prefix}.events.`;
  const end = subject.indexOf(".", start.length);
  if (!subject.startsWith(start) || end === -1) {
    return undefined;
  }
  return { organization: subject.slice(start.length, end), type: subject.slice(end + 1) };
}

/** Where a message that came on the subject goes when nobody understands it: `tellwire.rejected.events.…`. */
export function rejectedSubject(prefix: string, subject: string): string {
  const rest = subject.startsWith(`${prefix}.`) ? subject.slice(prefix.length + 1) : subject;
  return `${prefix}.rejected.${rest}`;
}

/** The subjects of all rejected messages. */
export function allRejected(prefix: string): string {
  return `${prefix}.rejected.>`;
}

/** Whether everything that the subject matches is matched by the pattern (https://docs.nats.io/nats-concepts/subjects#wildcards). */
export function subjectCovers(pattern: string, subject: string): boolean {
  const patternTokens = pattern.split(".");
  const tokens = subject.split(".");
  for (const [index, patternToken] of patternTokens.entries()) {
    const token = tokens[index];
    if (token === undefined) {
      return false;
    }
    if (patternToken === ">") {
      return true;
    }
    if (token === ">" || (patternToken !== "*" && patternToken !== token)) {
      return false;
    }
  }
  return patternTokens.length === tokens.length;
}
