/** The query as schemas read it: of a parameter that is given twice the first counts, one without a value counts as left out. */
export function queryValues(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...query].filter(([, value]) => value !== "").reverse());
}
