/** What came of a line. */
export type LineOutcome = "imported" | "updated" | "unchanged" | "refused";

export type LineKind = "organizations" | "webhooks" | "lines";

/** Counts what came of lines, and prints each refusal when it is known. */
export interface ImportReport {
  count(kind: LineKind, outcome: Exclude<LineOutcome, "refused">): void;
  /** `what` names what was refused, such as a webhook's id; empty: nothing is known of it. */
  refuse(kind: LineKind, refusal: { line: number; what: string; reason: string }): void;
  /** Prints the counts. Returns how many lines were refused. */
  finish(): number;
}

export function createImportReport(print: (text: string) => void): ImportReport {
  const counts: Record<LineKind, Record<LineOutcome, number>> = {
    organizations: { imported: 0, updated: 0, unchanged: 0, refused: 0 },
    webhooks: { imported: 0, updated: 0, unchanged: 0, refused: 0 },
    lines: { imported: 0, updated: 0, unchanged: 0, refused: 0 },
  };
  return {
    count(kind, outcome) {
      counts[kind][outcome] += 1;
    },
    refuse(kind, { line, what, reason }) {
      counts[kind].refused += 1;
      print(`line ${line}: ${what === "" ? "" : `${what}: `}${reason}\n`);
    },
    finish() {
      for (const kind of ["organizations", "webhooks"] as const) {
        const { imported, updated, unchanged, refused } = counts[kind];
        print(`${kind}: ${imported} imported, ${updated} updated, ${unchanged} unchanged, ${refused} refused\n`);
      }
      const unreadable = counts.lines.refused;
      if (unreadable > 0) print(`lines that cannot be read: ${unreadable}\n`);
      return counts.organizations.refused + counts.webhooks.refused + unreadable;
    },
  };
}
