/** What one step of a plan did. */
export interface PlanStep {
  type: string;
  /** The table that it reads itself. */
  table: string | undefined;
  /** How many rows it handed on, over all its runs. */
  rows: number;
  /** How many rows it read, and threw away. */
  filtered: number;
  /** Whether it takes the rows of a table as they come: no limit stands in between. */
  isOfTable: boolean;
}

/** A node of `explain (analyze, format json)`. */
export interface ExplainedNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Loops": number;
  "Actual Rows": number;
  "Rows Removed by Filter"?: number;
  Plans?: ExplainedNode[];
}

/** All steps of a plan: the answer to `explain (analyze, format json) …`. */
export function planSteps([row]: readonly { "QUERY PLAN": [{ Plan: ExplainedNode }] }[]): PlanStep[] {
  return stepsBelow(row!["QUERY PLAN"][0].Plan);
}

/** How many rows of tables were read. */
export function rowsRead(steps: readonly PlanStep[]): number {
  return steps.filter(({ table }) => table !== undefined).reduce((sum, { rows, filtered }) => sum + rows + filtered, 0);
}

function stepsBelow(node: ExplainedNode): PlanStep[] {
  const loops = node["Actual Loops"];
  const step = {
    type: node["Node Type"],
    table: node["Relation Name"],
    rows: node["Actual Rows"] * loops,
    filtered: (node["Rows Removed by Filter"] ?? 0) * loops,
    isOfTable: readsTable(node),
  };
  return [step, ...(node.Plans ?? []).flatMap(stepsBelow)];
}

function readsTable(node: ExplainedNode): boolean {
  return node["Relation Name"] !== undefined || (node["Node Type"] !== "Limit" && (node.Plans ?? []).some(readsTable));
}
